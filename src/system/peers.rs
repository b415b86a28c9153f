//! Who is connected to this host by SSH now.
//!
//! `SSH_CONNECTION` tells of the session that callgate runs in, and `sudo`, `tmux` and `screen` hide it. So the processes that
//! started callgate are looked at as well, and the connections that stand to the SSH server's ports. What can't be read,
//! for want of rights as a rule, is passed over: each of the three ways tells what it can.
//!
//! The kernel prints addresses in `/proc/net/tcp` as numbers of the machine's own byte order, four bytes at a time, and
//! ports as plain numbers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::plan::guardrail::cut::{How, Peer};

/// The port of SSH where no server is found.
const SSH_PORT: u16 = 22;
/// Programs that serve SSH; a session has a process of its own.
const SERVERS: [&str; 4] = ["sshd", "sshd-session", "sshd-auth", "dropbear"];
/// Most peers that are told.
const PEERS_MAX: usize = 256;
/// Most programs between callgate and the first of all processes.
const ANCESTORS_MAX: usize = 64;
/// Most processes that are looked at: the kernel's own bound is the same on most hosts.
const PROCESSES_MAX: usize = 1 << 16;
/// Most open files of one process that are looked at.
const FILES_MAX: usize = 4096;
/// Most sockets that are read: a line each.
const SOCKETS_MAX: usize = 1 << 20;
/// Longest line that is read.
const LINE_MAX: u64 = 512;
/// Most bytes of what tells of a process.
const STAT_MAX: u64 = 1 << 12;

/// Who is connected by SSH now, the surest first; `ssh_connection` is the environment's value. Each address and port once.
pub fn peers(ssh_connection: Option<&str>) -> Vec<Peer> {
    Looking { proc: Path::new("/proc") }.peers(ssh_connection, std::process::id())
}

/// A socket of TCP as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Socket {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    state: SocketState,
    inode: u64,
}

/// What a socket does; the others are of no use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketState {
    Established,
    Listening,
}

/// A process: its name, cut to 15 bytes by the kernel, and who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    name: String,
    parent: u32,
}

impl Process {
    fn serves_ssh(&self) -> bool {
        SERVERS.contains(&self.name.as_str())
    }
}

/// Where the kernel tells of processes and sockets.
struct Looking<'a> {
    proc: &'a Path,
}

impl Looking<'_> {
    fn peers(&self, ssh_connection: Option<&str>, own: u32) -> Vec<Peer> {
        let mut found: Vec<Peer> = ssh_connection.and_then(session).into_iter().collect();
        let servers = self.inodes(self.processes().filter(|id| self.is_server(*id)));
        let above = self.inodes(self.ancestors(own).into_iter().filter(|id| self.is_server(*id)));
        let listening: Vec<Socket> = self.sockets(|socket| socket.state == SocketState::Listening);
        let held: Vec<Socket> = self.sockets(|socket| {
            socket.state == SocketState::Established
                && (servers.contains(&socket.inode) || above.contains(&socket.inode))
        });
        let ports = ports(&servers, &listening, &held);
        let of_session = held.iter().filter(|socket| above.contains(&socket.inode));
        found.extend(of_session.map(|socket| socket.peer(How::SshdAncestor)));
        let open = self
            .sockets(|socket| socket.state == SocketState::Established && ports.contains(&socket.local.1));
        found.extend(open.iter().map(|socket| socket.peer(How::Established)));
        once(found)
    }

    /// The processes that are there.
    fn processes(&self) -> impl Iterator<Item = u32> + use<> {
        let entries = std::fs::read_dir(self.proc).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(PROCESSES_MAX)
    }

    fn is_server(&self, id: u32) -> bool {
        self.process(id).is_some_and(|process| process.serves_ssh())
    }

    fn process(&self, id: u32) -> Option<Process> {
        let mut text = Vec::new();
        let file = File::open(self.of(id, "stat")).ok()?;
        file.take(STAT_MAX).read_to_end(&mut text).ok()?;
        process(&String::from_utf8_lossy(&text))
    }

    /// The process and those that started it, the nearest first.
    fn ancestors(&self, own: u32) -> Vec<u32> {
        let parent = |id: &u32| self.process(*id).map(|process| process.parent).filter(|parent| *parent != 0);
        std::iter::successors(Some(own), parent).take(ANCESTORS_MAX).collect()
    }

    /// The sockets that processes hold.
    fn inodes(&self, ids: impl Iterator<Item = u32>) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for id in ids {
            let files = std::fs::read_dir(self.of(id, "fd")).into_iter().flatten().flatten().take(FILES_MAX);
            let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            found.extend(links.filter_map(|link| inode(link.to_str()?)));
        }
        found
    }

    fn of(&self, id: u32, name: &str) -> PathBuf {
        self.proc.join(id.to_string()).join(name)
    }

    /// The sockets of both families that are asked for, of the network that callgate is in.
    fn sockets(&self, wanted: impl Fn(&Socket) -> bool) -> Vec<Socket> {
        let mut found = Vec::new();
        for name in ["self/net/tcp", "self/net/tcp6"] {
            let Ok(file) = File::open(self.proc.join(name)) else { continue };
            let mut reader = BufReader::with_capacity(1 << 16, file);
            let lines = std::iter::from_fn(|| next_line(&mut reader)).take(SOCKETS_MAX);
            found.extend(lines.filter_map(|line| socket(&line, OWN_ORDER)).filter(&wanted));
        }
        found
    }
}

/// The next line, cut at a bound; `None` at the end.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).into_owned())
}

impl Socket {
    fn peer(&self, how: How) -> Peer {
        Peer { address: self.remote.0, local: self.local.0, local_port: self.local.1, how }
    }
}

/// The ports at which SSH is served: those on which a server listens, and those at which it holds connections while
/// somebody else, such as systemd, listens for it.
fn ports(servers: &BTreeSet<u64>, listening: &[Socket], held: &[Socket]) -> BTreeSet<u16> {
    let own = listening.iter().filter(|socket| servers.contains(&socket.inode)).map(|socket| socket.local.1);
    let listened: BTreeSet<u16> = listening.iter().map(|socket| socket.local.1).collect();
    let taken = held.iter().map(|socket| socket.local.1).filter(|port| listened.contains(port));
    own.chain(taken).chain([SSH_PORT]).collect()
}

/// Each address and port once, as the surest way tells it; the surest come first.
fn once(mut found: Vec<Peer>) -> Vec<Peer> {
    found.sort_by_key(|peer| peer.how);
    let mut seen = BTreeSet::new();
    found.retain(|peer| seen.insert((peer.address, peer.local_port)));
    found.truncate(PEERS_MAX);
    found
}

/// What `SSH_CONNECTION` says: address and port of the client, address and port of the server.
fn session(text: &str) -> Option<Peer> {
    let mut words = text.split_ascii_whitespace();
    let (address, _, local, port) = (words.next()?, words.next()?, words.next()?, words.next()?);
    // A link-local address has the name of its interface behind it.
    let read = |text: &str| {
        let bare = text.split_once('%').map_or(text, |(bare, _)| bare);
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    };
    let (address, local) = (read(address)?, read(local)?);
    let local_port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Peer { address, local, local_port, how: How::SshConnection })
}

/// What `/proc/PID/stat` says: `PID (NAME) STATE PPID …`. A name may hold anything, brackets and spaces too.
fn process(stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Process { name: name.to_owned(), parent })
}

/// The number of a socket that an open file is: `socket:[4711]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// In which order a machine keeps the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

/// This machine's.
const OWN_ORDER: ByteOrder = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

/// A line of `/proc/net/tcp` or `/proc/net/tcp6`, where it is a socket that listens or is connected.
fn socket(line: &str, order: ByteOrder) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    // Include/net/tcp_states.h of the kernel.
    let state = match state {
        "01" => SocketState::Established,
        "0A" => SocketState::Listening,
        _ => return None,
    };
    let inode = words.nth(5)?.parse().ok()?;
    Some(Socket { local: end(local, order)?, remote: end(remote, order)?, state, inode })
}

/// An address and a port: `0100007F:0016`.
fn end(text: &str, order: ByteOrder) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = match address.len() {
        8 => IpAddr::from(word(address, order)?),
        32 => {
            let mut octets = [0; 16];
            for (at, place) in octets.chunks_exact_mut(4).enumerate() {
                let start = at * 8;
                place.copy_from_slice(&word(address.get(start..start + 8)?, order)?);
            }
            IpAddr::from(octets)
        }
        _ => return None,
    };
    Some((address.to_canonical(), port))
}

/// Four bytes of an address, which was read as a number of the machine.
fn word(text: &str, order: ByteOrder) -> Option<[u8; 4]> {
    let number = u32::from_str_radix(text, 16).ok()?;
    Some(match order {
        ByteOrder::Little => number.to_le_bytes(),
        ByteOrder::Big => number.to_be_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::process::{Child, Stdio};

    use super::*;
    use crate::system::command;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_environment_tells_of_a_session() {
        let read = |text: &str| session(text).map(|peer| (peer.address, peer.local, peer.local_port));
        assert_eq!(read("203.0.113.5 51234 192.0.2.1 22"), Some((ip("203.0.113.5"), ip("192.0.2.1"), 22)));
        assert_eq!(
            read("2001:db8::5 51234 2001:db8::1 2222"),
            Some((ip("2001:db8::5"), ip("2001:db8::1"), 2222))
        );
        assert_eq!(read("fe80::5%eth0 51234 fe80::1%eth0 22"), Some((ip("fe80::5"), ip("fe80::1"), 22)));
        assert_eq!(
            read("::ffff:203.0.113.5 51234 ::ffff:192.0.2.1 22"),
            Some((ip("203.0.113.5"), ip("192.0.2.1"), 22))
        );
        for text in [
            "",
            "203.0.113.5",
            "203.0.113.5 51234 192.0.2.1",
            "here 1 there 22",
            "203.0.113.5 1 192.0.2.1 99999",
            "203.0.113.5 1 192.0.2.1 0",
            "UNKNOWN 65535 UNKNOWN 65535",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_of_a_process_may_hold_anything() {
        let read = |text: &str| process(text).map(|process| (process.name, process.parent));
        assert_eq!(read("10707 (cat) R 10701 10701 7291 0 -1"), Some(("cat".to_owned(), 10701)));
        assert_eq!(read("7 (a) R 1 (b) c) S 42 1 1"), Some(("a) R 1 (b) c".to_owned(), 42)));
        assert_eq!(read("7 (sshd"), None);
        assert_eq!(read("7 (sshd) S"), None);
        assert_eq!(read(""), None);
    }

    /// What Linux 6.18 printed on x86-64: servers at ports 22 and 2222, a session of each family, one of IPv4 at a socket of IPv6, the
    /// callers' ends of them, and one that ended.
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17466330 1 000000007661d839 100 0 0 10 0
   1: 067100CB:C823 010200C0:0016 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 000000008eca312d
   2: 077100CB:C825 010200C0:08AE 01 00000000:00000000 00:00000000 00000000     0        0 17466335 2 000000001af94a0e 20 0 0 10 -1
   3: 010200C0:0016 057100CB:C822 01 00000000:00000000 00:00000000 00000000     0        0 17466337 1 00000000a64c15bf 20 0 0 10 -1
   4: 057100CB:C822 010200C0:0016 01 00000000:00000000 00:00000000 00000000     0        0 17466333 2 00000000336819f6 20 0 0 10 -1
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17466331 1 00000000f68faffb 100 0 0 10 0
   1: 00000000000000000000000000000000:08AE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17466332 1 000000003357d62c 100 0 0 10 0
   2: B80D0120000000000000000001000000:0016 B80D0120000000000000000005000000:C824 01 00000000:00000000 00:00000000 00000000     0        0 17466338 1 000000001e6383f8 20 0 0 10 -1
   3: B80D0120000000000000000005000000:C824 B80D0120000000000000000001000000:0016 01 00000000:00000000 00:00000000 00000000     0        0 17466334 2 00000000ef7498b6 20 0 0 10 -1
   4: 0000000000000000FFFF0000010200C0:08AE 0000000000000000FFFF0000077100CB:C825 01 00000000:00000000 00:00000000 00000000     0        0 17466339 1 0000000015d5e691 20 0 0 10 -1
";

    /// The same sessions as a machine would print them whose numbers begin with their greatest byte: written by hand.
    const TCP_BIG: &str = "   1: C0000201:0016 CB007105:C822 01 00000000:00000000 00:00000000 00000000     0        0 17466337 1 0 20";
    const TCP6_BIG: &str = "   1: 20010DB8000000000000000000000001:0016 20010DB8000000000000000000000005:C824 01 \
                            00000000:00000000 00:00000000 00000000     0        0 17466338 1 0 20";

    #[test]
    fn sockets_are_read_in_the_byte_order_of_the_machine() {
        let read = |text: &str, order| -> Vec<Socket> {
            text.lines().filter_map(|line| socket(line, order)).collect()
        };
        let v4 = read(TCP, ByteOrder::Little);
        assert_eq!(v4.len(), 4);
        assert_eq!(
            (v4[0].state, v4[0].local, v4[0].inode),
            (SocketState::Listening, (ip("0.0.0.0"), 22), 17_466_330)
        );
        assert_eq!((v4[2].local, v4[2].remote), ((ip("192.0.2.1"), 22), (ip("203.0.113.5"), 51234)));
        assert_eq!((v4[2].state, v4[2].inode), (SocketState::Established, 17_466_337));
        let v6 = read(TCP6, ByteOrder::Little);
        assert_eq!((v6[2].local, v6[2].remote), ((ip("2001:db8::1"), 22), (ip("2001:db8::5"), 51236)));
        assert_eq!((v6[4].local, v6[4].remote), ((ip("192.0.2.1"), 2222), (ip("203.0.113.7"), 51237)));
        assert_eq!(read(TCP_BIG, ByteOrder::Big), [v4[2].clone()]);
        assert_eq!(read(TCP6_BIG, ByteOrder::Big), [v6[2].clone()]);
    }

    #[test]
    fn what_is_no_socket_is_passed_over() {
        for line in [
            "",
            "\n",
            "0:",
            "0: 0 0 01",
            "0: 010200C0:0016 057100CB:C822 01 0 0 0 0 0 x",
            "0: 010200C0:0016 057100C:C822 01 0 0 0 0 0 7",
            "0: 010200C0:FFFFF 057100CB:C822 01 0 0 0 0 0 7",
            "0: 010200C0-0016 057100CB:C822 01 0 0 0 0 0 7",
            "0: ää0200C0:0016 057100CB:C822 01 0 0 0 0 0 7",
            "0: 0000000000000000FFFF00000102ää:08AE 057100CB:C822 01 0 0 0 0 0 7",
            "0: 010200C0:0016 057100CB:C822 02 0 0 0 0 0 7",
        ] {
            assert_eq!(socket(line, ByteOrder::Little), None, "{line}");
        }
        assert_eq!((inode("socket:[17]"), inode("pipe:[17]"), inode("socket:[]")), (Some(17), None, None));
    }

    /// A host as the kernel tells of it: processes with name, parent and sockets.
    fn host(processes: &[(u32, &str, u32, &[u64])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (id, name, parent, inodes) in processes {
            let own = folder.path().join(id.to_string());
            std::fs::create_dir_all(own.join("fd")).unwrap();
            write(&own.join("stat"), &format!("{id} ({name}) S {parent} 1 1 0 -1"));
            for (number, inode) in inodes.iter().enumerate() {
                let link = own.join("fd").join(number.to_string());
                std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).unwrap();
            }
        }
        std::fs::create_dir_all(folder.path().join("self/net")).unwrap();
        write(&folder.path().join("self/net/tcp"), TCP);
        write(&folder.path().join("self/net/tcp6"), TCP6);
        folder
    }

    fn write(path: &Path, text: &str) {
        crate::system::replace_file(path, text.as_bytes()).unwrap();
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn each_way_tells_what_the_others_hide() {
        let folder = host(&[
            (1, "systemd", 0, &[]),
            (50, "sshd", 1, &[17_466_330, 17_466_331]),
            (60, "sshd-session", 50, &[17_466_339]),
            (61, "bash", 60, &[]),
            (62, "sudo", 61, &[]),
            (63, "callgate", 62, &[]),
            (70, "curl", 1, &[17_466_338]),
        ]);
        let looking = Looking { proc: folder.path() };
        let told = |ssh: Option<&str>, own| -> Vec<(String, u16, How)> {
            let peers = looking.peers(ssh, own).into_iter();
            peers.map(|peer| (peer.address.to_string(), peer.local_port, peer.how)).collect()
        };
        let of = |address: &str, port, how| (address.to_owned(), port, how);
        let standing = [of("203.0.113.5", 22, How::Established), of("2001:db8::5", 22, How::Established)];
        let of_session = |how| vec![of("203.0.113.7", 2222, how)];
        assert_eq!(told(None, 63), [of_session(How::SshdAncestor), standing.to_vec()].concat());
        // The daemon listens at port 22 only; that 2222 is one of SSH is known by the session.
        assert_eq!(told(None, 70), [standing.to_vec(), of_session(How::Established)].concat());
        // Each is told once, by the surest way.
        assert_eq!(
            told(Some("203.0.113.5 51234 192.0.2.1 22"), 63),
            [
                of("203.0.113.5", 22, How::SshConnection),
                of("203.0.113.7", 2222, How::SshdAncestor),
                of("2001:db8::5", 22, How::Established)
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let nowhere = Looking { proc: Path::new("/nowhere/at/all") };
        assert_eq!(nowhere.peers(None, 7), []);
        assert_eq!(nowhere.peers(Some("203.0.113.5 51234 192.0.2.1 22"), 7).len(), 1);
        // A process that started itself, as no kernel tells it: looked at no further than the bound.
        let folder = host(&[(7, "sshd", 7, &[])]);
        assert_eq!(Looking { proc: folder.path() }.ancestors(7).len(), ANCESTORS_MAX);
    }

    #[test]
    fn a_server_behind_systemd_is_known_by_the_connections_that_it_holds() {
        let at = |port, state, inode| Socket {
            local: (ip("192.0.2.1"), port),
            remote: (ip("203.0.113.5"), 50000),
            state,
            inode,
        };
        let listening = [at(2022, SocketState::Listening, 1), at(443, SocketState::Listening, 2)];
        // The second is a connection that the server made itself, to forward something.
        let held = [at(2022, SocketState::Established, 8), at(40000, SocketState::Established, 9)];
        assert_eq!(ports(&BTreeSet::from([8, 9]), &listening, &held), BTreeSet::from([22, 2022]));
        assert_eq!(ports(&BTreeSet::from([2]), &listening, &[]), BTreeSet::from([22, 443]));
    }

    /// A process named `sshd` that waits, with a socket as its output.
    fn sshd(folder: &Path, socket: OwnedFd) -> Child {
        let name = folder.join("sshd");
        if !name.exists() {
            std::os::unix::fs::symlink("/bin/sh", &name).unwrap();
        }
        let mut child = command(name.to_str().unwrap());
        child.args(["-c", "echo ready >&2; read line"]).stdin(Stdio::piped()).stdout(socket);
        let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
        // The process has its new name once it speaks.
        let mut said = [0; 6];
        child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
        child
    }

    fn end_of(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_real_connection_to_what_listens_as_sshd_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            // A host without IPv6 has nothing to find.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            let host = if address.contains("::1") { "[::1]" } else { "127.0.0.1" };
            let client = TcpStream::connect(format!("{host}:{port}")).unwrap();
            let (session, _) = listener.accept().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let find = |from: u32| -> Vec<How> {
                let peers = Looking { proc: Path::new("/proc") }.peers(None, from).into_iter();
                let own = peers.filter(|peer| peer.local_port == port);
                own.map(|peer| {
                    assert_eq!(peer.address, client.local_addr().unwrap().ip());
                    peer.how
                })
                .collect()
            };
            // Held by this test alone, which is no SSH server.
            assert_eq!(find(std::process::id()), []);
            let server = sshd(folder.path(), listener.try_clone().unwrap().into());
            assert_eq!(find(std::process::id()), [How::Established]);
            end_of(server);
            let server = sshd(folder.path(), session.into());
            assert_eq!(find(server.id()), [How::SshdAncestor]);
            end_of(server);
        }
    }
}
