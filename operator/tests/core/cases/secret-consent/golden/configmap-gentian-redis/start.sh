# Starts Redis with its password from a file, which redis.conf cannot name.
set -eu
umask 077
printf 'requirepass %s\n' "$(cat /secrets/redis/password)" > /tmp/password.conf
exec redis-server /process/redis.conf --include /tmp/password.conf
