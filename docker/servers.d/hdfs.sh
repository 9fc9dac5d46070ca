# HDFS: a NameNode and three DataNodes, each a process of its own.

HADOOP_FLAGS=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true)
for package in lang lang.reflect util util.concurrent util.zip io net nio math text; do
    HADOOP_FLAGS+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
done
HADOOP_FLAGS+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/sun.net.dns=ALL-UNNAMED)

hdfs_names() { printf '%s\n' namenode datanode1 datanode2 datanode3; }

hdfs_http_port() {
    case $1 in
        namenode) port 9870 ;;
        datanode*) port $((9864 + (${1#datanode} - 1) * 10)) ;;
    esac
}

hdfs_prepare() {
    local web
    jars hdfs >/dev/null
    mkdir -p "$DIR/conf" "$DIR/namenode"
    # The jars come without these directories, and Hadoop asks only that they exist.
    for web in hdfs datanode static secondary; do mkdir -p "$DIR/conf/webapps/$web"; done
    configuration >"$DIR/conf/core-site.xml" \
        fs.defaultFS "hdfs://127.0.0.1:$(port 9000)" \
        hadoop.tmp.dir "$DIR/namenode/tmp" \
        hadoop.user.group.static.mapping.overrides "weatherflow=supergroup;weatherman=supergroup"
    configuration >"$DIR/conf/hdfs-site.xml" \
        dfs.replication 3 \
        dfs.permissions.enabled true \
        dfs.namenode.name.dir "file://$DIR/namenode/name" \
        dfs.namenode.rpc-address "127.0.0.1:$(port 9000)" \
        dfs.namenode.http-address "127.0.0.1:$(hdfs_http_port namenode)" \
        dfs.namenode.datanode.registration.ip-hostname-check false \
        dfs.namenode.safemode.extension 0 \
        dfs.namenode.safemode.min.datanodes 1 \
        dfs.namenode.fs-limits.min-block-size 4096 \
        dfs.heartbeat.interval 1 \
        dfs.namenode.heartbeat.recheck-interval 1000 \
        dfs.namenode.stale.datanode.interval 5000 \
        dfs.namenode.stale.datanode.minimum.interval 3 \
        dfs.namenode.avoid.write.stale.datanode true \
        dfs.namenode.avoid.read.stale.datanode true \
        dfs.namenode.write.stale.datanode.ratio 1.0 \
        dfs.namenode.redundancy.interval.seconds 1s \
        dfs.datanode.hostname 127.0.0.1 \
        dfs.datanode.max.transfer.threads 256 \
        dfs.client.use.datanode.hostname false \
        dfs.client.block.write.replace-datanode-on-failure.best-effort true
    cat >"$DIR/conf/log4j.properties" <<'PROPERTIES'
log4j.rootLogger=${hadoop.root.logger}
hadoop.root.logger=WARN,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
PROPERTIES
    # Marked when it is done: over what an interrupted format left the next one fails.
    if [[ ! -e $DIR/namenode/formatted ]]; then
        rm -rf "$DIR/namenode/name"
        hadoop org.apache.hadoop.hdfs.server.namenode.NameNode -format -nonInteractive -clusterId weatherflow \
            >"$DIR/namenode.log" 2>&1 || failed namenode
        touch "$DIR/namenode/formatted"
    fi
}

# configuration NAME VALUE NAME VALUE ...
configuration() {
    echo '<configuration>'
    while (($#)); do
        echo "  <property><name>$1</name><value>$2</value></property>"
        shift 2
    done
    echo '</configuration>'
}

hadoop() { java -Xmx256m "${HADOOP_FLAGS[@]}" -cp "$DIR/conf:$JARS/hdfs/*" "$@"; }

hdfs_launch() {
    local name=$1 number=0 class
    case $name in
        namenode) class=(org.apache.hadoop.hdfs.server.namenode.NameNode) ;;
        datanode*)
            number=$(((${name#datanode} - 1) * 10))
            class=(org.apache.hadoop.hdfs.server.datanode.DataNode
                "-Ddfs.datanode.data.dir=file://$DIR/$name/blocks"
                "-Ddfs.datanode.address=127.0.0.1:$(port $((9866 + number)))"
                "-Ddfs.datanode.ipc.address=127.0.0.1:$(port $((9867 + number)))"
                "-Ddfs.datanode.http.address=127.0.0.1:$(hdfs_http_port "$name")")
            ;;
    esac
    launch "$name" java -Xms32m -Xmx192m "${HADOOP_FLAGS[@]}" -cp "$DIR/conf:$JARS/hdfs/*" "${class[@]}"
}

# Asked in HTTP 1.0, whose answers end with the connection; a DataNode wants a Host all the same. A paused process takes
# the connection and never answers.
bean() {
    timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$2" >&3 && cat <&3' \
        - "$(hdfs_http_port "$1")" "/jmx?qry=Hadoop:service=$2" 2>/dev/null
}

# The NameNode takes a dead DataNode for live for a while, and so a DataNode is asked itself.
hdfs_ready() {
    local answer
    case $1 in
        namenode)
            answer=$(bean namenode NameNode,name=FSNamesystemState) || return 1
            # With blocks to report, safe mode ends only once the DataNodes are there.
            [[ $answer == *'"FSState"'* ]]
            ;;
        datanode*)
            answer=$(bean "$1" DataNode,name=DataNodeInfo) || return 1
            grep -q 'ActorState\\":\\"RUNNING' <<<"$answer" && grep -Eq 'LastHeartbeatResponseTime\\":\\"[0-2]\\"' <<<"$answer" &&
                grep -Eq 'LastBlockReport\\":\\"[0-9]' <<<"$answer"
            ;;
    esac
}

hdfs_settle() {
    local answer try
    for ((try = 0; try < 600; try++)); do
        answer=$(bean namenode NameNode,name=FSNamesystemState) || answer=
        if [[ $answer == *Operational* ]] && grep -Eq '"NumLiveDataNodes" : 3' <<<"$answer"; then return; fi
        sleep 0.1
    done
    echo "servers: HDFS is not ready: $answer" >&2
    exit 1
}

hdfs_environment() {
    echo "export HDFS_URL=hdfs://127.0.0.1:$(port 9000)/data"
    echo "export HADOOP_CONF_DIR=$DIR/conf"
}

hdfs_shell() {
    local class
    case ${1:-} in
        dfs) class=org.apache.hadoop.fs.FsShell ;;
        dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
        fsck) class=org.apache.hadoop.hdfs.tools.DFSck ;;
        ec) class=org.apache.hadoop.hdfs.tools.ECAdmin ;;
        *) echo "servers: hdfs dfs|dfsadmin|fsck|ec ARGS..." >&2; exit 2 ;;
    esac
    shift
    hadoop "$class" "$@"
}
