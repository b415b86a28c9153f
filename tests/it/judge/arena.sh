# The namespaces of one arena: arena.sh HOST CALLER CONTAINER
#
# The host has two interfaces to the caller (up0, up1) and one to a container (docker0). Every source address
# belongs to the caller: it answers for all of them, and the host routes all of them to it. Neighbours are
# permanent, so that no rule can break them.
set -e
host=$1 caller=$2 container=$3
for name in "$host" "$caller" "$container"; do ip netns add "$name"; done

ip netns exec "$host" sh -e <<END
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.tcp_synack_retries=0
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.icmp_ratelimit=0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link add up0 address 02:00:00:00:00:01 type veth peer name up0 address 02:00:00:00:00:02 netns $caller
ip link add up1 address 02:00:00:00:01:01 type veth peer name up1 address 02:00:00:00:01:02 netns $caller
ip link add docker0 address 02:00:00:00:17:01 type veth peer name eth0 address 02:00:00:00:17:02 netns $container
for link in lo up0 up1 docker0; do ip link set \$link up; done
ip addr add 20.0.0.1/32 dev up0; ip addr add 2a00:1::1/128 dev up0 nodad
ip addr add 20.0.1.1/32 dev up1; ip addr add 2a00:2::1/128 dev up1 nodad
ip addr add 172.17.0.1/16 dev docker0; ip addr add fd00:17::1/64 dev docker0 nodad
ip neigh add 20.0.0.2 lladdr 02:00:00:00:00:02 dev up0 nud permanent
ip neigh add 2a00:1::2 lladdr 02:00:00:00:00:02 dev up0 nud permanent
ip neigh add 20.0.1.2 lladdr 02:00:00:00:01:02 dev up1 nud permanent
ip neigh add 2a00:2::2 lladdr 02:00:00:00:01:02 dev up1 nud permanent
ip neigh add 172.17.0.2 lladdr 02:00:00:00:17:02 dev docker0 nud permanent
ip neigh add fd00:17::2 lladdr 02:00:00:00:17:02 dev docker0 nud permanent
ip route add default via 20.0.0.2 dev up0 onlink
ip -6 route add default via 2a00:1::2 dev up0 onlink
ip route add default via 20.0.1.2 dev up1 onlink table 101
ip -6 route add default via 2a00:2::2 dev up1 onlink table 101
ip rule add from 20.0.1.1 lookup 101
ip -6 rule add from 2a00:2::1 lookup 101
END

ip netns exec "$caller" sh -e <<END
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.ip_nonlocal_bind=1
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
sysctl -qw net.ipv4.conf.up0.rp_filter=0 net.ipv4.conf.up1.rp_filter=0
for link in lo up0 up1; do ip link set \$link up; done
ip addr add 20.0.0.2/32 dev up0; ip addr add 2a00:1::2/128 dev up0 nodad
ip addr add 20.0.1.2/32 dev up1; ip addr add 2a00:2::2/128 dev up1 nodad
ip neigh add 20.0.0.1 lladdr 02:00:00:00:00:01 dev up0 nud permanent
ip neigh add 2a00:1::1 lladdr 02:00:00:00:00:01 dev up0 nud permanent
ip neigh add 20.0.1.1 lladdr 02:00:00:00:01:01 dev up1 nud permanent
ip neigh add 2a00:2::1 lladdr 02:00:00:00:01:01 dev up1 nud permanent
ip route add default via 20.0.0.1 dev up0 onlink
ip -6 route add default via 2a00:1::1 dev up0 onlink
ip route add 20.0.1.1/32 dev up1
ip -6 route add 2a00:2::1/128 dev up1
for link in up0 up1; do ip rule add iif \$link lookup 99; ip -6 rule add iif \$link lookup 99; done
ip route add local default dev lo table 99
ip -6 route add local default dev lo table 99
END

ip netns exec "$container" sh -e <<END
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.tcp_synack_retries=0
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip link set lo up; ip link set eth0 up
ip addr add 172.17.0.2/16 dev eth0; ip addr add fd00:17::2/64 dev eth0 nodad
ip neigh add 172.17.0.1 lladdr 02:00:00:00:17:01 dev eth0 nud permanent
ip neigh add fd00:17::1 lladdr 02:00:00:00:17:01 dev eth0 nud permanent
ip route add default via 172.17.0.1
ip -6 route add default via fd00:17::1
END
