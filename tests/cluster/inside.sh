# The surroundings of a node cluster: network, mounts and kernel settings that end with its namespaces. Sourced.
# shellcheck shell=bash disable=SC2154

source "$here/state.sh"

# Settings that the kubelet would otherwise write for the whole machine; it leaves alone what already has its value.
KUBELET_SETTINGS=(vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000)

# connect_node STATE PID: outside; a veth pair from the machine to the namespaces of PID's child.
connect_node() {
    local state=$1 parent=$2 slot child="" tries
    slot=$(<"$state/slot")
    for ((tries = 0; tries < 250 && ${#child} == 0; tries++)); do
        sleep 0.02
        read -r child _ <"/proc/$parent/task/$parent/children"
    done
    [[ -n $child ]] || { say "waited 5 s for the namespaces"; return 1; }
    ip link add "autopeft$slot" type veth peer name eth0 netns "$child" &&
        ip address add "$(address "$slot" 1)/30" dev "autopeft$slot" &&
        ip link set "autopeft$slot" up &&
        make_cgroups "autopeft$slot"
}

# enter_node STATE: inside, as process 1.
enter_node() {
    local state=$1 slot setting file tries
    slot=$(<"$state/slot")
    mount -t tmpfs tmpfs /run &&
        mkdir -p "$state"/node/var/{cache,lib/kubelet,log,tmp} &&
        ln -sfn /run "$state/node/var/run" &&
        mount --bind "$state/node/var" /var || return
    for setting in "${KUBELET_SETTINGS[@]}"; do
        [[ -e /proc/sys/${setting%=*} ]] || continue
        file=$state/node/${setting%=*}
        mkdir -p "${file%/*}"
        echo "${setting#*=}" >"$file"
        mount --bind "$file" "/proc/sys/${setting%=*}" || return
    done
    for ((tries = 0; tries < 250; tries++)); do
        if ip link show eth0 >/dev/null 2>&1; then break; fi
        sleep 0.02
    done
    ip link set lo up &&
        ip address add "$(address "$slot" 2)/30" dev eth0 &&
        ip link set eth0 up &&
        ip route add default via "$(address "$slot" 1)" &&
        echo 1 >/proc/sys/net/ipv4/ip_forward &&
        touch "$state/node/ready"
}
