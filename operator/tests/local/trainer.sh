#!/usr/bin/env bash
# A trainer that trains nothing: its score follows from the configuration's hash and the seed. FAKE names what
# each trial does instead, such as "1:killed 2:garbled" (each attempt) or "1:killed-once".
set -u
command=$1
shift
while [ $# -gt 0 ]; do
    case $1 in
    --request) request=$2; shift 2 ;;
    --result) result=$2; shift 2 ;;
    --device) shift 2 ;;
    --exit-with-parent) lifeline=1; shift ;;
    *) echo "unknown flag $1" >&2; exit 2 ;;
    esac
done
field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}.*/\1/p" "$request" | head -n 1; }

if [ "$command" = inspect ]; then
    [ "${FAKE_INSPECT:-}" != refuses ] || { echo "data/train.jsonl:3: the column text is missing" >&2; exit 2; }
    echo '{"architecture":"bert","layers":4,"hiddenSize":64,"backboneParameters":1000000,"trainExamples":100,"validationExamples":'"${FAKE_EXAMPLES:-50},${FAKE_FINGERPRINTS:-\"modelFingerprint\":\"aa11\",\"dataFingerprint\":\"bb22\"}"'}'
    exit 0
fi

if [ -n "${lifeline:-}" ]; then
    exec 3<&0
    { read -r _ <&3; kill -9 $$; } &
    waiter=$!
fi
trial=$(field trial)
attempt=$(field attempt)
echo "$trial/$attempt $$" >>"${FAKE_STARTS:-/dev/null}"
behaviour=
for entry in ${FAKE:-}; do
    [ "${entry%%:*}" != "$trial" ] || behaviour=${entry#*:}
done
case $behaviour in
*-once) [ "$attempt" = 1 ] && behaviour=${behaviour%-once} || behaviour= ;;
esac
sleep "${FAKE_SECONDS:-0}"

identity='"identity":{"searchUid":"'$(field searchUid)'","trial":'$trial',"attempt":'$attempt',"configurationHash":"'$(field configurationHash)'"}'
hash=$(field configurationHash)
score=0.$((16#${hash:0:4} + 10000 + 7 * ($(field seed) - 42)))
succeeded='{"version":1,'$identity',"outcome":{"succeeded":{"score":'$score',"metric":"Accuracy","bestEpoch":1,"epochs":[],"trainedParameters":10,"deployedParameters":8,"trainSeconds":1.5,"totalSeconds":2,"peakMemoryBytes":1,"device":"cpu","precision":"float32","steps":1,"validationExamples":50,"seeds":{},"versions":{}}}}'
failed() { echo '{"version":1,'$identity',"outcome":{"failed":{"reason":"'"$1"'","message":"as the test wants it"}}}' >"$result"; }
write() { echo "$1" >"$result.part" && mv "$result.part" "$result"; }
code=0
case $behaviour in
'') write "$succeeded" ;;
killed) kill -9 $$ ;;
aborted) kill -6 $$ ;;
silent) ;;
garbled) write '{"version":1,' ;;
oversized) write "$succeeded$(head -c 5000 /dev/zero | tr '\0' ' ')" ;;
truncated) write "${succeeded:0:120}" ;;
stranger) write "${succeeded/\"trial\":$trial/\"trial\":77}" ;;
infinite) write "${succeeded/$score/1e400}" ;;
memory) failed OutOfMemory; code=3 ;;
input) failed BadInput; code=3 ;;
hangs) sleep 1000 ;;
esac
[ -z "${waiter:-}" ] || kill "$waiter" 2>/dev/null
exit $code
