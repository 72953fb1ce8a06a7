# Starts PostgreSQL; makes the database at the first start. A half-made one is made anew.
set -eu
# Debian keeps the programs out of PATH.
PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)"
data=/data/pgdata
single() { postgres --single -j -D "$1" "$2" >/dev/null; }
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.new"
  initdb -D "$data.new" --username=postgres --encoding=UTF8 --locale=C \
    --auth-local=trust --auth-host=scram-sha-256
  printf 'CREATE ROLE synapse LOGIN;\n\n' | single "$data.new" postgres
  printf 'CREATE DATABASE synapse OWNER synapse;\n\n' | single "$data.new" postgres
  echo 'host all all all scram-sha-256' >> "$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi
# Left behind by one that was killed: it names a process of a container that is gone, and one of
# this container may have its number. Nobody else has the volume (one pod, Recreate, ReadWriteOnce).
rm -f "$data/postmaster.pid"
# At every start, so that a changed Secret takes effect.
password=$(sed "s/'/''/g" /secrets/postgres/password)
printf "ALTER ROLE synapse PASSWORD '%s';\n\n" "$password" | single "$data" postgres
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp \
  -c max_connections=300
