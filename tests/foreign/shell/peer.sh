#!/usr/bin/env bash
# peer.sh <socket file>
#
# A client of shell tools: jq writes and reads the JSON, socat or nc carries the lines. Prints the messages that it
# receives, and sends what it is told to send; tests/foreign/support.rs documents the commands, the lines and the rules.
# Exits with 77 if a tool is missing.
set -euo pipefail

socket=$1
speech=$(dirname "$0")/../speech.json

missing() {
    echo "$1" >&2
    exit 77
}

command -v jq >/dev/null || missing 'jq is not installed'
if command -v socat >/dev/null; then
    carrier=$(socat -V | sed -n 's/^socat version \([^ ]*\).*/socat \1/p')
    # After the end of the input, -t leaves the server time to finish.
    carry() { socat -t 30 - "UNIX-CONNECT:$socket"; }
elif nc -h 2>&1 | grep -q -- '-U'; then
    carrier='nc'
    # -N passes the end of the input on to the server.
    carry() { nc -N -U "$socket"; }
else
    missing 'neither socat nor an nc that knows -U is installed'
fi

rules='
    def text: . as $n
        | $speech[0].alphabet as $alphabet
        | [range($n * 7 % 40) | $alphabet[($n * 31 + . * 17) % ($alphabet | length)]]
        | add // "";
    def times($n): if $n == 0 then "" else . * $n end;
    def big: "a megabyte of ☃ and é " as $unit
        | ($unit | utf8bytelength) as $length
        | ($unit | times(($to / $length) | floor)) + ("x" | times($to % $length));
'

# One envelope a line; the last argument is a jq expression, $from and $to are numbers.
envelopes() {
    jq --null-input --compact-output --slurpfile speech "$speech" \
        --argjson from "$1" --argjson to "$2" "$rules $3"
}

send_batches() {
    local command first second
    while read -r command first second; do
        case $command in
        values) envelopes 0 0 '$speech[0].values[] | {topic: "value", message: .}' ;;
        delimiters) envelopes 0 0 '$speech[0].delimiters[]' ;;
        count) envelopes "$first" "$second" 'range($from; $to) | {topic: "count", message: {n: ., text: text}}' ;;
        big) envelopes 0 "$first" '{topic: "big", message: {text: big}}' ;;
        missing) echo '{"topic":"missing"}' ;;
        none) echo '{"topic":"","message":"under no topic"}' ;;
        untopical) echo '{"message":"without a topic"}' ;;
        close) return ;;
        esac
    done
}

jq --null-input --compact-output --arg peer "$carrier and $(jq --version) in bash $BASH_VERSION" \
    '{event: "ready", peer: $peer}'
send_batches | carry | jq --compact-output --unbuffered '{event: "received", topic, message}'
echo '{"event":"disconnect"}'
