#!/bin/sh
# The password goes in by standard input: on a command line every user of the machine would read it.
exec redis-server "$(dirname "$0")/redis.conf" "$@" - <<PASSWORD
requirepass $REDIS_PASSWORD
PASSWORD
