# Processes by name. A process is ours when its environment carries our mark: a pid alone may have been given anew.

mark() { echo "WEATHERFLOW_SERVER=$DIR:$1"; }

pid_of() {
    local pid
    pid=$(cat "$DIR/$1.pid" 2>/dev/null) && [[ -n $pid ]] || return 1
    grep -zqxF -- "$(mark "$1")" "/proc/$pid/environ" 2>/dev/null || return 1
    echo "$pid"
}

# launch NAME COMMAND...: its output goes to NAME.log, that of the start before to NAME.log.1
launch() {
    local name=$1
    shift
    pid_of "$name" >/dev/null && return
    mkdir -p "$DIR/$name"
    if [[ -e $DIR/$name.log ]]; then mv "$DIR/$name.log" "$DIR/$name.log.1"; fi
    env "$(mark "$name")" setsid "$@" >"$DIR/$name.log" 2>&1 </dev/null 9>&- &
    echo $! >"$DIR/$name.pid"
    until pid_of "$name" >/dev/null; do
        if ! kill -0 $! 2>/dev/null; then failed "$name"; fi
        sleep 0.05
    done
}

# A certificate authority of our own, and with it one certificate for servers and one for clients.
certificates() {
    local in=$DIR/certificates who
    [[ -e $in/broker-chain.pem ]] && return
    if ! command -v openssl >/dev/null; then
        echo "servers: --secure needs the program openssl, which makes the certificates" >&2
        exit 1
    fi
    mkdir -p "$in"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=weatherflow-ca \
        -keyout "$in/ca.key" -out "$in/ca.pem" 2>/dev/null
    for who in broker client; do
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout "$in/$who.key" -out "$in/$who.csr" 2>/dev/null
        openssl x509 -req -in "$in/$who.csr" -CA "$in/ca.pem" -CAkey "$in/ca.key" -CAcreateserial -days 3650 \
            -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") -out "$in/$who.pem" 2>/dev/null
    done
    cat "$in/broker.key" "$in/broker.pem" "$in/ca.pem" >"$in/broker-chain.pem"
}

# failed NAME [WHAT]
failed() {
    echo "servers: $1 ${2:-has ended}; its log $DIR/$1.log ends with" >&2
    tail -n 15 "$DIR/$1.log" >&2
    exit 1
}

wait_for() {
    local kind=$1 name=$2 try
    for ((try = 0; try < 1200; try++)); do
        if "${kind}_ready" "$name"; then return; fi
        pid_of "$name" >/dev/null || failed "$name"
        sleep 0.1
    done
    failed "$name" "is not ready after two minutes"
}

signal() {
    local pid
    pid=$(pid_of "$2") || { echo "servers: $2 is not running" >&2; return; }
    kill "-$1" "$pid"
}

gone() {
    local try
    for ((try = 0; try < 200; try++)); do
        pid_of "$1" >/dev/null || return 0
        sleep 0.1
    done
    return 1
}

stop() {
    pid_of "$1" >/dev/null || return 0
    signal CONT "$1"
    signal TERM "$1"
    gone "$1" || { signal KILL "$1"; gone "$1"; }
}

status() {
    local pid
    pid=$(pid_of "$1") || { printf '%-10s down\n' "$1"; return; }
    printf '%-10s pid %-8s %5d MiB  %s\n' "$1" "$pid" \
        $(($(awk '/VmRSS/ {print $2}' "/proc/$pid/status") / 1024)) \
        "$(awk '/^State/ {print $2 == "T" ? "paused" : "running"}' "/proc/$pid/status")"
}

# Options of the first `up` are kept beside the data they made.
remember_options() {
    [[ -e $DIR/options ]] || for key in "${!OPTION[@]}"; do echo "$key=${OPTION[$key]}"; done >"$DIR/options"
    recall_options
}

recall_options() {
    local key value
    [[ -e $DIR/options ]] || return 0
    while IFS='=' read -r key value; do OPTION[$key]=$value; done <"$DIR/options"
}

forget() {
    local name
    for name in $(names) certificates conf; do rm -rf "${DIR:?}/$name" "$DIR/$name".{pid,log,log.1}; done
    rm -rf "$DIR/options" "$DIR/watched" "$TARGET/servers/debian$DIR"
}

# Runs on after this script has ended.
watch() {
    mkdir -p "$DIR/watched"
    [[ -e $DIR/watched/$1 ]] && return
    touch "$DIR/watched/$1"
    setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; exec "$2" --dir "$3" unwatched "$1"' \
        - "$1" "$HERE/servers" "$DIR" >/dev/null 2>&1 </dev/null 9>&- &
}

# A process that was watched has ended; the last one takes the servers with it.
unwatched() {
    local other
    rm -f "$DIR/watched/$1"
    for other in "$DIR"/watched/*; do
        if kill -0 "${other##*/}" 2>/dev/null; then return; fi
    done
    down
    forget
}

# port NUMBER: with the offset of --ports
port() { echo $(($1 + OPTION[ports])); }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# jars KIND: fetched once
jars() {
    local to=$JARS/$1
    if [[ ! -e $to/complete ]]; then
        echo "servers: fetching $1 from Maven Central" >&2
        mvn --batch-mode --quiet -Dstyle.color=never --file "$HERE/servers.d/jars.xml" --activate-profiles "$1" \
            dependency:copy-dependencies -DoutputDirectory="$to" -DincludeScope=runtime >&2
        touch "$to/complete"
    fi
    echo "$to"
}
