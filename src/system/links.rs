//! The interfaces of this host and their addresses, as the kernel tells them: what `ip -j address` prints, without a process.
//!
//! Asked over rtnetlink, see rtnetlink(7): names and masters of interfaces, then addresses. Numbers are the machine's own,
//! and all that follows a header is aligned to four bytes.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ipnet::IpNet;
use rustix::buffer::spare_capacity;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with,
};

use crate::netfilter::host::{HostAddress, Links};

/// How long the kernel may take for a part of its answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Bytes of one part; the kernel never sends more at once.
const PART_BYTES: usize = 32 << 10;
/// Parts of one answer: far more interfaces and addresses than a kernel holds.
const PARTS_MAX: u32 = 1 << 16;
/// How often it is asked anew where interfaces changed while they were told.
const TRIES_MAX: u32 = 10;

const HEADER_BYTES: usize = 16;
const IS_REQUEST: u16 = 1;
const IS_DUMP: u16 = 0x300;
const WAS_INTERRUPTED: u16 = 0x10;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// Bytes of what follows the header, before the attributes.
const LINK_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
/// Attributes of interfaces.
const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;
/// Attributes of addresses: the far end's where there is one, else the host's own; and the host's own.
const FAR_OR_OWN: u16 = 1;
const OWN: u16 = 2;
/// The number of a family of addresses, `AF_INET` and `AF_INET6`.
const V4: u8 = 2;
const V6: u8 = 10;

/// What the kernel tells, message by message.
#[derive(Debug, Default)]
struct Told {
    /// Number, name and the number of the master of each interface.
    links: Vec<(u32, String, Option<u32>)>,
    /// The number of its interface, the address, and the length of its network's prefix.
    addresses: Vec<(u32, IpAddr, u8)>,
    /// Whether something changed meanwhile, so that it has to be asked anew.
    changed: bool,
}

/// Whether there is more to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    More,
    Nothing,
}

/// Asks the kernel.
pub(super) fn links() -> io::Result<Links> {
    // Of the protocols of netlink, routes and links are the first.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIME))?;
    for number in 0..TRIES_MAX {
        let mut told = Told::default();
        dump(&socket, GET_LINK, LINK_BYTES, number, &mut told)?;
        dump(&socket, GET_ADDRESS, ADDRESS_BYTES, number, &mut told)?;
        if !told.changed {
            return told.links();
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "interfaces keep changing"))
}

/// Asks for all of a kind.
fn dump(socket: &OwnedFd, kind: u16, bytes: usize, number: u32, told: &mut Told) -> io::Result<()> {
    let mut request = Vec::with_capacity(HEADER_BYTES + LINK_BYTES);
    let length = u32::try_from(HEADER_BYTES + bytes).unwrap_or(u32::MAX);
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((IS_REQUEST | IS_DUMP).to_ne_bytes());
    request.extend(number.to_ne_bytes());
    // Neither a sender nor a choice: of all families, all interfaces.
    request.resize(HEADER_BYTES + bytes, 0);
    sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    // Mostly far less comes than there is room for, so it is not cleared first.
    let mut part = Vec::with_capacity(PART_BYTES);
    for _ in 0..PARTS_MAX {
        part.clear();
        let (_, length, sender) = recvfrom(socket, spare_capacity(&mut part), RecvFlags::TRUNC)?;
        let is_kernel = sender
            .and_then(|sender| SocketAddrNetlink::try_from(sender).ok())
            .is_some_and(|sender| sender.pid() == 0);
        if !is_kernel {
            continue;
        }
        if told.take(part.get(..length).ok_or_else(torn)?)? == Rest::Nothing {
            return Ok(());
        }
    }
    Err(torn())
}

/// An answer that is not what rtnetlink(7) says.
fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer can't be read")
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number16(bytes: &[u8], at: usize) -> io::Result<u16> {
    number(bytes, at).map(u16::from_ne_bytes).ok_or_else(torn)
}

fn number32(bytes: &[u8], at: usize) -> io::Result<u32> {
    number(bytes, at).map(u32::from_ne_bytes).ok_or_else(torn)
}

/// Takes something of a length off a text whose parts are aligned to four bytes; at its end less may be left.
fn split(bytes: &[u8], length: usize) -> (&[u8], &[u8]) {
    let next = length.next_multiple_of(4).min(bytes.len());
    (bytes.get(..length).unwrap_or_default(), bytes.get(next..).unwrap_or_default())
}

impl Told {
    /// Takes one part of an answer.
    fn take(&mut self, mut part: &[u8]) -> io::Result<Rest> {
        while !part.is_empty() {
            let length = usize::try_from(number32(part, 0)?).unwrap_or(usize::MAX);
            if length < HEADER_BYTES || length > part.len() {
                return Err(torn());
            }
            let (message, after) = split(part, length);
            part = after;
            let flags = number16(message, 6)?;
            self.changed |= flags & WAS_INTERRUPTED != 0;
            let body = message.get(HEADER_BYTES..).unwrap_or_default();
            match number16(message, 4)? {
                DONE => {
                    // The end tells as well whether all that came before is to be believed.
                    failure(body)?;
                    return Ok(Rest::Nothing);
                }
                ERROR => {
                    failure(body)?;
                    return Err(torn());
                }
                NEW_LINK => self.link(body)?,
                NEW_ADDRESS => self.address(body)?,
                _ => {}
            }
        }
        Ok(Rest::More)
    }

    fn link(&mut self, body: &[u8]) -> io::Result<()> {
        let index = number32(body, 4)?;
        let (mut name, mut master) = (None, None);
        attributes(body, LINK_BYTES, |kind, value| {
            match kind {
                LINK_NAME => name = Some(text(value)),
                LINK_MASTER => master = Some(number32(value, 0)?),
                _ => {}
            }
            Ok(())
        })?;
        self.links.push((index, name.ok_or_else(torn)?, master));
        Ok(())
    }

    fn address(&mut self, body: &[u8]) -> io::Result<()> {
        let [family, length] = number(body, 0).ok_or_else(torn)?;
        let index = number32(body, 4)?;
        // Telephones and the like have addresses too.
        if !matches!(family, V4 | V6) {
            return Ok(());
        }
        let (mut own, mut other) = (None, None);
        attributes(body, ADDRESS_BYTES, |kind, value| {
            match kind {
                OWN => own = Some(address(family, value)?),
                FAR_OR_OWN => other = Some(address(family, value)?),
                _ => {}
            }
            Ok(())
        })?;
        self.addresses.extend(own.or(other).map(|address| (index, address, length)));
        Ok(())
    }

    /// The same as `ip -j address` has it: interface by interface, each with its addresses.
    fn links(self) -> io::Result<Links> {
        let names: BTreeMap<u32, &str> =
            self.links.iter().map(|(index, name, _)| (*index, name.as_str())).collect();
        let mut owned: BTreeMap<u32, Vec<(IpAddr, u8)>> = BTreeMap::new();
        for (index, address, length) in self.addresses {
            owned.entry(index).or_default().push((address, length));
        }
        let mut all = Links::default();
        for (index, name, master) in &self.links {
            let shown =
                |master: u32| names.get(&master).map_or(format!("if{master}"), |name| (*name).to_owned());
            all.bridges.extend(master.map(shown));
            for (address, length) in owned.remove(index).unwrap_or_default() {
                let network = IpNet::new(address, length).map_err(io::Error::other)?.trunc();
                all.addresses.push(HostAddress { interface: name.clone(), address, network });
            }
        }
        Ok(all)
    }
}

/// What the kernel refuses, if it does: a negative number of an error.
fn failure(body: &[u8]) -> io::Result<()> {
    match number(body, 0).map(i32::from_ne_bytes) {
        None | Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

/// Goes through the attributes behind so many bytes.
fn attributes(
    body: &[u8],
    behind: usize,
    mut take: impl FnMut(u16, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    /// Two flags say of what kind the value is.
    const KIND: u16 = 0x3fff;
    let mut rest = body.get(behind..).ok_or_else(torn)?;
    while rest.len() >= 4 {
        let length = usize::from(number16(rest, 0)?);
        if length < 4 || length > rest.len() {
            return Err(torn());
        }
        let (attribute, after) = split(rest, length);
        take(number16(attribute, 2)? & KIND, attribute.get(4..).unwrap_or_default())?;
        rest = after;
    }
    Ok(())
}

/// A name, which ends with a byte of 0.
fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

fn address(family: u8, value: &[u8]) -> io::Result<IpAddr> {
    let address = if family == V4 {
        number::<4>(value, 0).map(IpAddr::from)
    } else {
        number::<16>(value, 0).map(IpAddr::from)
    };
    address.ok_or_else(torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }

    fn link(index: u32, name: &str, master: Option<u32>) -> Vec<u8> {
        let mut body = vec![0; LINK_BYTES];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body.extend(attribute(LINK_NAME, format!("{name}\0").as_bytes()));
        // The kernel flags some kinds, and tells much that nobody here asks for.
        body.extend(attribute(0x801a, &[1, 2, 3]));
        body.extend(master.map(|master| attribute(LINK_MASTER, &master.to_ne_bytes())).unwrap_or_default());
        message(NEW_LINK, 0, &body)
    }

    fn told_address(index: u32, family: u8, length: u8, parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family, length, 0, 0];
        body.extend(index.to_ne_bytes());
        body.extend(parts.iter().flat_map(|(kind, value)| attribute(*kind, value)));
        message(NEW_ADDRESS, 0, &body)
    }

    fn scene() -> Vec<u8> {
        let local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        [
            link(1, "lo", None),
            link(3, "port", Some(2)),
            link(2, "br", None),
            link(9, "far", Some(77)),
            told_address(1, V4, 8, &[(FAR_OR_OWN, &[127, 0, 0, 1]), (OWN, &[127, 0, 0, 1])]),
            told_address(9, V4, 32, &[(FAR_OR_OWN, &[10, 0, 0, 2]), (OWN, &[10, 0, 0, 1])]),
            told_address(2, V6, 64, &[(FAR_OR_OWN, &local)]),
            told_address(2, 35, 8, &[(OWN, &[7])]),
        ]
        .concat()
    }

    #[test]
    fn it_is_told_as_by_the_tool() {
        let json = r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
            {"ifname":"port","master":"br","addr_info":[]},
            {"ifname":"br","addr_info":[{"local":"fe80::1","prefixlen":64}]},
            {"ifname":"far","master":"if77","addr_info":[{"local":"10.0.0.1","address":"10.0.0.2","prefixlen":32}]}]"#;
        let mut told = Told::default();
        assert_eq!(told.take(&scene()).unwrap(), Rest::More);
        assert_eq!(told.take(&message(DONE, 0, &[0; 4])).unwrap(), Rest::Nothing);
        assert_eq!(told.links().unwrap(), Links::read(json).unwrap());
    }

    #[test]
    fn no_answer_that_is_cut_short_is_believed() {
        let whole = scene();
        let starts: Vec<usize> = {
            let (mut at, mut all) = (0, vec![0]);
            while at < whole.len() {
                at += usize::try_from(number32(&whole, at).unwrap()).unwrap();
                all.push(at);
            }
            all
        };
        for end in (0..whole.len()).filter(|end| !starts.contains(end)) {
            assert!(Told::default().take(&whole[..end]).is_err(), "{end}");
        }
        // Any byte may be another: it is read or refused, and never more than that.
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let mut told = Told::default();
                let _ = told.take(&changed).map(|_| told.links());
            }
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_what_changes_meanwhile_is_asked_anew() {
        let refused = (-1_i32).to_ne_bytes();
        for kind in [ERROR, DONE] {
            let error = Told::default().take(&message(kind, 0, &refused)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
        let mut told = Told::default();
        let torn = [link(1, "lo", None), message(DONE, WAS_INTERRUPTED, &[0; 4])].concat();
        assert_eq!((told.take(&torn).unwrap(), told.changed), (Rest::Nothing, true));
    }

    /// Interfaces of many kinds: a bridge with a port, addresses besides the first, with a label, of a far end, on an interface that
    /// is down, and more of them than one part of an answer holds.
    const SCENE: &str = "set -e
        ip link set lo up
        ip link add br0 type bridge
        ip link add v0 type veth peer name v1
        ip link set v0 master br0
        for link in br0 v0 v1; do ip link set $link up; done
        ip address add 10.1.0.1/24 dev br0
        ip address add 10.1.0.2/24 dev br0
        ip address add 10.1.0.9/32 dev br0 label br0:x
        ip address add 2001:db8::1/64 dev br0 nodad
        ip address add 10.2.0.1 peer 10.2.0.2/32 dev v1
        ip address add 2001:db8:1::1 peer 2001:db8:1::2/128 dev v1 nodad
        ip link add d0 type veth peer name d1
        for n in $(seq 250); do echo address add 10.4.$n.1/24 dev d0; echo address add 2001:db8:2:$n::1/64 dev d1; done | ip -batch -
        for n in $(seq 60); do echo link add many$n type veth; done | ip -batch -
        ";
    const INSIDE: &str = "CALLGATE_TEST_INSIDE";

    #[test]
    fn a_whole_host_is_told_as_by_the_tool() {
        let run = |program: &str, arguments: &[&str]| crate::system::run(program, arguments);
        if std::env::var_os(INSIDE).is_none() {
            if run("unshare", &["-n", "ip", "link", "add", "a", "type", "veth"]).is_err() {
                eprintln!("no network of its own can be made here");
                return;
            }
            let own = std::env::current_exe().unwrap();
            let test = "system::links::tests::a_whole_host_is_told_as_by_the_tool";
            let script = format!("{SCENE}\n{INSIDE}=1 exec {} --exact {test}", own.display());
            let said = String::from_utf8(run("unshare", &["-n", "sh", "-c", &script]).unwrap()).unwrap();
            assert!(said.contains("1 passed"), "{said}");
            return;
        }
        let told = links().unwrap();
        let printed = String::from_utf8(run("ip", &["-j", "address"]).unwrap()).unwrap();
        assert_eq!(told, Links::read(&printed).unwrap());
        assert!(told.addresses.len() > 500 && told.bridges == ["br0"], "{told:?}");
    }
}
