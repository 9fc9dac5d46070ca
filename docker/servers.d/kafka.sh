# Kafka in KRaft mode: each process is broker and controller.

kafka_names() { seq -f 'broker%g' "${OPTION[brokers]}"; }

# kafka_port NAME: of its plain listener; + 1 TLS, + 2 SASL, + 3 SASL over TLS, + 4 behind a proxy at + 5, + 7 controller
kafka_port() { echo $(($(port 9092) + (${1#broker} - 1) * 100)); }

# Of each partition.
kafka_copies() { ((OPTION[brokers] >= 3)) && echo 3 || echo 1; }

kafka_user=weatherflow
kafka_password=cloudy

kafka_prepare() {
    local name jars formatting=()
    jars=$(jars kafka)
    mkdir -p "$DIR/conf"
    [[ ${OPTION[secure]} == yes ]] && certificates
    cat >"$DIR/conf/kafka-log.xml" <<XML
<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers></Configuration>
XML
    for name in $(kafka_names); do
        kafka_properties "$name" >"$DIR/conf/$name.properties"
        [[ -e $DIR/$name/meta.properties ]] && continue
        java -Xmx128m -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$DIR/conf/kafka-log.xml" -cp "$jars/*" \
            kafka.tools.StorageTool format --ignore-formatted --cluster-id d2VhdGhlcmZsb3dfX19fXw \
            --config "$DIR/conf/$name.properties" \
            --add-scram "SCRAM-SHA-256=[name=$kafka_user,password=$kafka_password]" \
            --add-scram "SCRAM-SHA-512=[name=$kafka_user,password=$kafka_password]" >"$DIR/$name.log" 2>&1 &
        formatting+=("$!:$name")
    done
    for name in "${formatting[@]}"; do wait "${name%%:*}" || failed "${name#*:}"; done
}

kafka_properties() {
    local name=$1 copies in_sync=1 voters='' each plain
    copies=$(kafka_copies)
    ((copies == 3)) && in_sync=2
    for each in $(kafka_names); do voters+=${voters:+,}${each#broker}@127.0.0.1:$(($(kafka_port "$each") + 7)); done
    plain=$(kafka_port "$name")
    local listeners=PLAINTEXT://127.0.0.1:$plain advertised=''
    if [[ ${OPTION[secure]} == yes ]]; then
        listeners+=,SSL://127.0.0.1:$((plain + 1)),SASL_PLAINTEXT://127.0.0.1:$((plain + 2)),SASL_SSL://127.0.0.1:$((plain + 3))
    fi
    advertised=$listeners
    if [[ ${OPTION[proxied]} == yes ]]; then
        listeners+=,PROXIED://127.0.0.1:$((plain + 4))
        advertised+=,PROXIED://127.0.0.1:$((plain + 5))
    fi
    cat <<PROPERTIES
process.roles=broker,controller
node.id=${name#broker}
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=$listeners,CONTROLLER://127.0.0.1:$((plain + 7))
advertised.listeners=$advertised
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs=$DIR/$name
default.replication.factor=$copies
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
# A broker that dies is replaced within seconds, and so tests of that are short.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
PROPERTIES
    [[ ${OPTION[secure]} == yes ]] || return 0
    cat <<PROPERTIES
ssl.keystore.type=PEM
ssl.keystore.location=$DIR/certificates/broker-chain.pem
ssl.truststore.type=PEM
ssl.truststore.location=$DIR/certificates/ca.pem
ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
# Everybody may do anything, until a test grants something on a resource: then nobody else may, but those without login.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
PROPERTIES
    local listener mechanism
    for listener in sasl_plaintext sasl_ssl; do
        for mechanism in 256 512; do
            echo "listener.name.$listener.scram-sha-$mechanism.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
        done
        echo "listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$kafka_user=\"$kafka_password\";"
    done
}

kafka_launch() {
    launch "$1" java -Xms256m -Xmx512m -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
        -Dlog4j2.configurationFile="$DIR/conf/kafka-log.xml" -cp "$JARS/kafka/*" kafka.Kafka "$DIR/conf/$1.properties"
}

# The broker says so once the controller has let it in.
kafka_ready() { grep -q 'Kafka Server started' "$DIR/$1.log" && answers "$(kafka_port "$1")"; }

kafka_settle() { :; }

kafka_environment() {
    local name brokers=''
    for name in $(kafka_names); do brokers+=${brokers:+,}127.0.0.1:$(kafka_port "$name"); done
    echo "export KAFKA_BROKERS=$brokers KAFKA_REPLICATION=$(kafka_copies)"
    [[ ${OPTION[secure]} == yes ]] || return 0
    echo "export KAFKA_CERTIFICATES=$DIR/certificates KAFKA_USER=$kafka_user KAFKA_PASSWORD=$kafka_password"
}
