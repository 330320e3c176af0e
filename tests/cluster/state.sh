# The state folder of a cluster, its keeper, its end. Sourced, never run.
#
# STATE = CLUSTERS/NAME holds all that a cluster writes. Making and removing one is done under CLUSTERS/.lock.
# There is one clean-up, with or without a crash before it: kill all processes with the marker, then remove the rest.
# shellcheck shell=bash disable=SC2154

# locked COMMAND...: runs it under the lock, so that no other process creates or removes a cluster meanwhile.
locked() {
    [[ -d $clusters ]] || mkdir -m 700 "$clusters"
    [[ -O $clusters && ! -L $clusters ]] || die "$clusters belongs to somebody else; set AUTOPEFT_CLUSTERS to another folder"
    exec 8>"$clusters/.lock"
    flock -w 60 8 || die "waited 60 s for $clusters/.lock; another cluster is being started or removed"
    "$@"
    exec 8>&-
}

is_up() { [[ -s $1/keeper ]] && is_alive "$(<"$1/keeper")" && owner_is_alive "$1"; }

# owner_is_alive STATE: whether the cluster's owner still runs; true if it has none.
owner_is_alive() {
    local owner="" seen
    while true; do
        seen=$owner
        read -r owner <"$1/owner" || return
        [[ $owner != none ]] || return 0
        if is_alive "$owner"; then return 0; fi
        # An owner hands over before it ends: it failed to only if the file still names it.
        [[ $owner != "$seen" ]] || return 1
    done
}

# members STATE: the processes of a cluster, by the marker. Containers have no marker: they end with process 1.
members() {
    local file
    grep -slzxF "AUTOPEFT_CLUSTER_MEMBER=$1" /proc/[0-9]*/environ | while IFS=/ read -r _ _ file _; do echo "$file"; done
}

# remove_cluster STATE: idempotent; leaves no process, interface, mount, cgroup or file.
remove_cluster() {
    local state=$1 slot link pid tries
    for ((tries = 0; ; tries++)); do
        mapfile -t pids < <(members "$state")
        ((${#pids[@]})) || break
        ((tries < 100)) || die "processes ${pids[*]} of $state do not end"
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
    if [[ -s $state/slot && $(<"$state/size") == node ]]; then
        slot=$(<"$state/slot")
        link=autopeft$slot
        if [[ -e /sys/class/net/$link ]]; then ip link delete "$link" 2>/dev/null || true; fi
        for ((tries = 0; ; tries++)); do
            remove_cgroups "$link" && break
            ((tries < 100)) || die "processes $(cgroup_processes "$link") in the cgroup $link do not end"
            for pid in $(cgroup_processes "$link"); do kill -KILL "$pid" 2>/dev/null || true; done
            sleep 0.1
        done
    fi
    rm -rf --one-file-system "$state"
}

# The folders of a cluster in the cgroup file system: one a controller (version 1), or one (version 2).
cgroup_folders() {
    local folder
    for folder in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
        # Controllers that share a hierarchy are links to one folder.
        if [[ -d $folder && ! -L ${folder%/*} ]]; then echo "$folder"; fi
    done
}

make_cgroups() {
    local folder
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        mkdir -p "/sys/fs/cgroup/$1"
        return
    fi
    for folder in /sys/fs/cgroup/*/; do
        if [[ ! -L ${folder%/} ]]; then mkdir -p "$folder$1"; fi
        # A new cpuset is empty, and no process can enter an empty one.
        if [[ -e $folder/cpuset.cpus ]]; then
            cat "$folder/cpuset.cpus" >"$folder$1/cpuset.cpus"
            cat "$folder/cpuset.mems" >"$folder$1/cpuset.mems"
        fi
    done
}

cgroup_processes() {
    local folder
    for folder in $(cgroup_folders "$1"); do find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null; done
}

remove_cgroups() {
    local folder
    for folder in $(cgroup_folders "$1"); do find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null; done
    [[ -z $(cgroup_folders "$1") ]]
}

# sweep: remove what clusters without a keeper left behind.
sweep() {
    local state
    for state in "$clusters"/*/; do
        state=${state%/}
        [[ -d $state ]] || continue
        is_up "$state" || remove_cluster "$state"
    done
}

# The ports of an api cluster: 0 etcd, 1 its peers, 2 the API server, 3 the controller manager, 4 the scheduler.
port() { echo $((21000 + 8 * $1 + $2)); }

# The addresses of a node cluster's /30: 1 the machine's end, 2 the cluster's.
address() { echo "10.201.$(($1 / 64)).$(($1 % 64 * 4 + $2))"; }

slot_is_free() {
    local other offset
    for other in "$clusters"/*/slot; do
        if [[ -e $other && $(<"$other") == "$1" ]]; then return 1; fi
    done
    [[ ! -e /sys/class/net/autopeft$1 ]] || return 1
    for offset in 0 1 2 3 4; do
        if (exec 7<>"/dev/tcp/127.0.0.1/$(port "$1" "$offset")") 2>/dev/null; then return 1; fi
    done
}

# new_cluster STATE SIZE SLOT: an empty state folder with a slot of its own, from SLOT on, and a keeper; run it locked.
# Until `hand_over` the cluster ends with this command.
new_cluster() {
    local state=$1 size=$2 slot
    sweep
    [[ ! -e $state ]] || die "${state##*/} is already up: use it, take it down, or choose another --name"
    for ((slot = $3; slot < 1024; slot++)); do
        if slot_is_free "$slot"; then break; fi
    done
    ((slot < 1024)) || die "all 1024 slots for clusters are taken (ports 21000 to 29191)"
    mkdir -m 700 "$state"
    mkdir "$state"/{answers,components,log,pki,requests}
    echo "$size" >"$state/size"
    echo "$slot" >"$state/slot"
    mkfifo "$state/bell"
    hand_over "$state" $$
    AUTOPEFT_CLUSTER_MEMBER=$state setsid "$here/keeper.sh" outside "$state" "$size" \
        </dev/null >"$state/log/keeper.log" 2>&1 8>&- &
    echo "$! $(started_at $!)" >"$state/keeper"
    disown
}

# hand_over STATE PID|none: makes that process the cluster's owner.
hand_over() {
    local state=$1 owner=$2 started
    if [[ $owner != none ]]; then
        started=$(started_at "$owner") || die "the owner $owner is not a running process"
        owner="$owner $started"
    fi
    echo "$owner" >"$state/.owner"
    mv "$state/.owner" "$state/owner"
}

# tell VERB COMPONENT: sends the keeper a request (keeper.sh lists the verbs) and returns its exit code.
tell() {
    local id=$BASHPID.$RANDOM answer tries
    is_up "$state" || die "the keeper of $state is gone: $(tail -n 5 "$state/log/keeper.log" 2>/dev/null)"
    echo "$*" >"$state/.$id"
    mv "$state/.$id" "$state/requests/$id"
    echo 1<>"$state/bell"
    for ((tries = 0; tries < 500; tries++)); do
        if [[ -e $state/answers/$id ]]; then
            answer=$(<"$state/answers/$id")
            rm -f "$state/answers/$id"
            return "$answer"
        fi
        sleep 0.02
    done
    die "waited 10 s for the keeper of $state to $*"
}

begin() { tell start "$1" || die "$1 cannot be started"; }

# wait_for SECONDS WHAT COMPONENT COMMAND...: until the command succeeds; else says so and shows the component's log.
wait_for() {
    local limit=$1 what=$2 component=$3 tries why
    shift 3
    local -i end=$((${EPOCHREALTIME//[.,]/} + limit * 1000000))
    for ((tries = 1; ; tries++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        if ((${EPOCHREALTIME//[.,]/} > end)); then
            why="waited $limit s for $what"
            break
        fi
        if ((tries % 10 == 0)) && [[ $component != inside ]] && ! tell running "$component"; then
            why="$component ended while $what was waited for"
            break
        fi
        sleep 0.05
    done
    # Another program may have taken a port that was free when the slot was chosen.
    if grep -qs "address already in use" "$state/log/$component.log"; then in_another_slot; fi
    tail -n 20 "$state/log/$component.log" >&2
    die "$why"
}

# in_another_slot: `up` starts again with the next slot, eight times at most.
in_another_slot() {
    local next=$(($(<"$state/slot") + 1)) tries=$((${AUTOPEFT_CLUSTER_TRIES:-0} + 1))
    ((tries <= 8)) || return 0
    trap - EXIT
    locked remove_cluster "$state"
    say "a port of slot $((next - 1)) is taken; trying slot $next"
    AUTOPEFT_CLUSTER_SLOT=$next AUTOPEFT_CLUSTER_TRIES=$tries exec "$here/cluster.sh" up "${arguments[@]}"
}
