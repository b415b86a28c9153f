# What an administrator captures of a host's rules: dumps.sh, in the folder where the dumps shall lie.
export PATH=$PATH:/usr/sbin:/sbin
nft list ruleset >nft
nft -j list ruleset >nft-json
iptables-nft-save >iptables 2>iptables.err
ip6tables-nft-save >ip6tables 2>ip6tables.err
ipset save >ipset
ip -j address >addresses
[ -z "$(cat /proc/net/ip_tables_names 2>/dev/null)" ] || iptables-legacy-save >iptables-legacy
[ -z "$(cat /proc/net/ip6_tables_names 2>/dev/null)" ] || ip6tables-legacy-save >ip6tables-legacy
# An empty listing of nft says that there is nothing; the others say nothing.
for dump in *; do [ -s "$dump" ] || [ "$dump" = nft ] || rm "$dump"; done
