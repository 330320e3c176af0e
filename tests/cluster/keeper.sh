#!/usr/bin/env bash
# The parent of a cluster's programs: starts and signals them on request, and takes the cluster down with its owner.
#
#   keeper.sh outside STATE SIZE    the keeper; for the node size it only joins the network and watches the owner
#   keeper.sh inside STATE          process 1 in the namespaces of a node cluster
#
# A request is a file STATE/requests/ID with "VERB COMPONENT", its answer the file STATE/answers/ID. STATE/bell is a FIFO
# that only wakes the keeper: a line can be cut in two by a time limit on reading, a file cannot.
# STATE/owner names the process that the cluster ends with ("none": it runs until `down`).
# Every program dies with its parent (pdeathsig, --kill-child), so kill -9 of the keeper stops everything too.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/inside.sh"
set +e

role=$1
state=$2
declare -A pids=()

# start COMPONENT: its command line is the file components/COMPONENT, one argument a line.
start() {
    local -a command
    mapfile -t command <"$state/components/$1"
    setpriv --pdeathsig KILL -- "${command[@]}" </dev/null >>"$state/log/$1.log" 2>&1 3>&- &
    pids[$1]=$!
}

signal() {
    kill "-$1" "${pids[$2]}" || return
    # A killed program has ended before the answer is given, so that its port and its lock are free.
    if [[ $1 == KILL ]]; then wait "${pids[$2]}"; fi
    return 0
}

# obey VERB COMPONENT: carries out a request; the exit code is the answer.
obey() {
    case $1 in
        start) ! running "$2" && start "$2" ;;
        kill) running "$2" && signal KILL "$2" ;;
        stop) running "$2" && signal STOP "$2" ;;
        cont) running "$2" && signal CONT "$2" ;;
        running) running "$2" ;;
        *) false ;;
    esac
}

running() { [[ -n ${pids[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null; }

# serve: carries out the pending requests; waits a fifth of a second, or until the bell is written to.
serve() {
    local request verb component
    read -r -t 0.2 -u 3
    for request in "$state"/requests/*; do
        [[ -e $request ]] || continue
        read -r verb component <"$request"
        rm "$request"
        obey "$verb" "$component"
        echo $? >"$state/answers/.${request##*/}"
        mv "$state/answers/.${request##*/}" "$state/answers/${request##*/}"
    done
}

case $role in
    inside)
        enter_node "$state" || exit
        exec 3<>"$state/bell"
        while true; do serve; done
        ;;
    outside)
        if [[ $3 == node ]]; then
            setpriv --pdeathsig KILL -- unshare --pid --fork --kill-child --mount --net --mount-proc \
                "${BASH_SOURCE[0]}" inside "$state" </dev/null >>"$state/log/inside.log" 2>&1 &
            inside=$!
            connect_node "$state" "$inside" || exit
            # Reading a pipe that nobody writes to sleeps without another process.
            exec 4<> <(:)
            while owner_is_alive "$state" && kill -0 "$inside" 2>/dev/null; do read -r -t 0.2 -u 4; done
        else
            exec 3<>"$state/bell"
            while owner_is_alive "$state"; do serve; done
        fi
        # The same clean-up as `down`; without the marker, so that it does not kill itself.
        exec env -u AUTOPEFT_CLUSTER_MEMBER "$here/cluster.sh" down --name "$(basename "$state")"
        ;;
esac
