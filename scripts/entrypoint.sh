#!/bin/sh
# What the image starts: augrgb, as whoever its results are to belong to.
#
# `docker run --user` says who that is. Where it does not, it is the owner of the folder that is mounted as /out.
# A folder that Docker had to make is root's and empty: it becomes that of the owner of /in.
set -eu

[ "$(id -u)" = 0 ] || exec augrgb "$@"

owner_of() { stat --format=%u:%g "$1" 2>/dev/null || echo 0:0; }

owner=$(owner_of /out)
if [ "${owner%:*}" = 0 ] && [ -z "$(ls -A /out 2>/dev/null)" ]; then
    owner=$(owner_of /in)
    if [ -d /out ]; then
        chown "$owner" /out || owner=0:0 # mounted for reading alone: augrgb says so
    elif [ "${owner%:*}" = 0 ]; then
        owner=1000:1000 # who cannot make an /out, for it would go with the container
    fi
fi
exec setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups --no-new-privs augrgb "$@"
