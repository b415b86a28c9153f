# Takes every rule, set and known connection of a host away.
export PATH=$PATH:/usr/sbin:/sbin
for family in ip ip6; do
    for table in $(cat /proc/net/${family}_tables_names 2>/dev/null); do
        case $table in
        filter) chains="INPUT FORWARD OUTPUT" ;;
        nat) chains="PREROUTING INPUT OUTPUT POSTROUTING" ;;
        raw) chains="PREROUTING OUTPUT" ;;
        mangle) chains="PREROUTING INPUT FORWARD OUTPUT POSTROUTING" ;;
        security) chains="INPUT FORWARD OUTPUT" ;;
        esac
        { echo "*$table"; for chain in $chains; do echo ":$chain ACCEPT [0:0]"; done; echo COMMIT; } |
            ${family}tables-legacy-restore -w
    done
done
nft flush ruleset
# The kernel lets go of the sets of rules a moment after the rules went.
# Sets of sets let go of their members when they are emptied.
ipset flush
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    ipset destroy 2>/dev/null && break
    sleep 0.05
done
conntrack -F 2>/dev/null || true
[ -z "$(nft list ruleset; ipset list -n)" ]
