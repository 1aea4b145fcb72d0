#!/usr/bin/env bash
# Builds the image without a container engine's daemon, runs it as an operator should, and says what holds.
#
#   test/setup/container.sh             one line a check, seeded bugs included; exit code 0 when all of it held
#   test/setup/container.sh --mutant X  only the seeded bug X (root, writes, fat, deaf): red is right, so exit code 1
#
# Debian's buildah, podman and runc are installed when root; without root it says so and ends with 77. The base is a
# stand-in for the one of the Dockerfile: debootstrap and the npm packages of Node and npm, kept in scratch/container.
# NODE_IMAGE names a real base instead, which is then fetched from its registry; CONTEXT another checkout to build. The
# registry that npm is set to and NODE_EXTRA_CA_CERTS are handed to the build as secrets.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
exec </dev/null

readonly home=$PWD/scratch/container
readonly context=${CONTEXT:-.}
readonly node_line=22 npm_line=10 suite=bookworm
readonly image=localhost/direct-gateway:proof
readonly base=${NODE_IMAGE:-docker.io/library/node:22-bookworm-slim}
readonly key_inside=/run/secrets/master-key
readonly layers_most_mb=120 ready_most_ms=2000 memory_most_mb=${MEMORY_MOST_MB:-150} stop_most_ms=5000
mutant=${2:-}
[ "${1:-}" = --mutant ] || mutant=
case $mutant in '' | root | writes | fat | deaf) ;; *) printf 'container: no seeded bug %s\n' "$mutant" && exit 2 ;; esac

if [ "$(id -u)" -ne 0 ]; then
  printf 'container: skipped, the image was not built: root is needed for debootstrap and for a storage of its own\n'
  exit 77
fi

say() { printf 'container: %s\n' "$*" >&2; }
stop() {
  say "$*"
  exit 1
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }

install_programs() {
  local missing=() program
  for program in buildah podman runc debootstrap; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || stop "missing ${missing[*]}, and no apt-get to install them"
  say "installing ${missing[*]} by apt-get"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >"$home/apt.log" 2>&1 &&
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$home/apt.log" 2>&1 ||
    stop "apt-get failed; its words stand in $home/apt.log"
}

# Everything of this script lives below $home, apart from the images and containers of the machine.
store=(--root "$home/storage" --runroot "$home/run" --storage-driver "${STORAGE_DRIVER:-overlay}")
pod() { podman "${store[@]}" --runtime runc --cgroup-manager cgroupfs --events-backend file "$@"; }

# A Debian with Node and npm, as the official image is made, but not that image.
make_base() {
  pod image exists "$base" && return
  if [ -n "${NODE_IMAGE:-}" ]; then
    pod pull -q "$base" >/dev/null || stop "$base cannot be fetched"
    return
  fi
  local root=$home/root tools=$home/node
  say "making the stand-in for $base"
  rm -rf "$root" "$tools"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" >"$home/debootstrap.log" 2>&1 ||
    stop "debootstrap failed; its words stand in $home/debootstrap.log"
  npm install --prefix "$tools" --no-audit --no-fund --loglevel=error "node@$node_line" "npm@$npm_line" >&2 ||
    stop "the npm packages node@$node_line and npm@$npm_line cannot be had"
  install -m 755 "$tools/node_modules/node/bin/node" "$root/usr/local/bin/node"
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -a "$tools/node_modules/npm" "$root/usr/local/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --create-home node
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | pod import - "$base" >/dev/null 2>&1 || stop "the stand-in cannot be imported"
  rm -rf "$root" "$tools"
}

# build TAG FILE [FOLDER]: no network but for npm, nothing pulled.
build() {
  local secrets=() registry
  registry=$(npm config get registry 2>/dev/null)
  printf 'registry=%s\n' "$registry" >"$work/npmrc"
  secrets+=(--secret "id=npmrc,src=$work/npmrc")
  [ -n "${NODE_EXTRA_CA_CERTS:-}" ] && secrets+=(--secret "id=ca,src=$NODE_EXTRA_CA_CERTS")
  buildah "${store[@]}" bud --isolation chroot --pull-never --network host --format docker \
    --ulimit "nofile=$files:$files" --build-arg "NODE_IMAGE=$base" "${secrets[@]}" \
    -t "$1" -f "$2" "${3:-.}" >"$work/build.log" 2>&1 || {
    tail -n 30 "$work/build.log" >&2
    stop "$2 does not build"
  }
}

# The seeded bugs, each a layer over the good image.
mutant_file() {
  printf 'FROM %s\nUSER 0\n' "$image"
  case $1 in
  root) ;;
  writes) printf 'ENV DIRECT_GATEWAY_DATA_DIR=/var/lib/gateway\nRUN install -d -o 1000 -g 1000 -m 700 /var/lib/gateway\nUSER 1000:1000\n' ;;
  fat) printf 'RUN mkdir -p /app/node_modules/vitest && head -c 140000000 /dev/zero >/app/node_modules/vitest/index.js\nUSER 1000:1000\n' ;;
  deaf) printf 'HEALTHCHECK CMD ["node", "-e", "fetch(\x27http://127.0.0.1:8080/livez\x27).catch(() => process.exit(1))"]\nUSER 1000:1000\n' ;;
  esac
}

failed=()
# check NAME DETAIL COMMAND...: one line, and a mark when the command fails.
check() {
  local name=$1 detail=$2
  shift 2
  if "$@"; then printf 'ok    %-14s %s\n' "$name" "$detail"; else
    printf 'FAIL  %-14s %s\n' "$name" "$detail"
    failed+=("$name")
  fi
}

inspect() { pod image inspect --format "$2" "$1"; }

# What the image is, before it runs.
check_image() {
  local of=$1 root layers user stray others
  layers=$(($(inspect "$of" '{{.Size}}') - $(inspect "$base" '{{.Size}}')))
  check size "base $(($(inspect "$base" '{{.Size}}') / 1000000)) MB, ours $((layers / 1000000)) MB over it, at most $layers_most_mb" \
    test "$layers" -lt $((layers_most_mb * 1000000))
  user=$(inspect "$of" '{{.Config.User}}')
  check user "runs as ${user:-root}" grep -Eq '^[1-9][0-9]*:[1-9][0-9]*$' <<<"$user"
  check volume "writes to $(inspect "$of" '{{json .Config.Volumes}}')" \
    test "$(inspect "$of" '{{json .Config.Volumes}}')" = '{"/data":{}}'
  check stop-signal "$(inspect "$of" '{{.Config.StopSignal}}')" test "$(inspect "$of" '{{.Config.StopSignal}}')" = SIGTERM
  check no-shell "starts $(inspect "$of" '{{json .Config.Entrypoint}} {{json .Config.Cmd}}')" \
    test "$(inspect "$of" '{{json .Config.Entrypoint}}')" = '["node","/app/dist/main.js"]'

  root=$(pod image mount "$of") || stop "$of cannot be looked into"
  stray=$(node test/setup/container-packages.mjs "$context/package-lock.json" "$root/app/node_modules")
  check packages "${stray:-exactly the production packages of package-lock.json}" test -z "$stray"
  others=$(cd "$root" && find app usr/local opt -xdev \( -path 'app/test*' -o -path 'app/bench*' -o -path 'app/src*' -o -path 'app/dist/bench*' \
    -o -name npm -o -name npx -o -name yarn -o -name corepack -o -name '*.key' -o -name '.npmrc' -o -name '.git' \) | head -n 3)
  check contents "${others:-no npm, sources, tests, benches or keys}" test -z "$others"
  others=$(cd "$root" && find . -xdev -type f -perm /6000 | head -n 3)
  check setuid "${others:-no setuid or setgid file}" test -z "$others"
  others=$(cd "$root" && find . -xdev \( -uid 1000 -o -gid 1000 -o -perm -o+w ! -perm -1000 ! -type l \) \
    ! -path './data' ! -path './home/node*' ! -path './dev/*' ! -path './proc/*' | head -n 3)
  check owned "${others:-the user owns /data and nothing else}" test -z "$others"
  pod image unmount "$of" >/dev/null
}

# gateway run OPTIONS... IMAGE COMMAND...: as an operator should run it. What differs stands in ${settings[@]}.
gateway() {
  pod "$1" --ulimit "nofile=$files:$files" --ulimit "nproc=$processes:$processes" --network host \
    --read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges \
    -v "$volume:/data" -e DIRECT_GATEWAY_SMTP_HOST=127.0.0.1 -e "DIRECT_GATEWAY_SMTP_PORT=$smtp_port" \
    -e "DIRECT_GATEWAY_HTTP_PORT=$http_port" "${settings[@]}" "${@:2}" 2>>"$work/words"
}

inside() { pod exec "$name" "$@" 2>>"$work/words"; }
state() { pod inspect --format "$1" "$name" 2>>"$work/words"; }
peer() { node test/setup/container-peer.mjs "$@"; }

fastest_ms=
# check_start NAME OPTIONS...: from the command to the first green /readyz, with a look at the clock.
check_start() {
  local what=$1 from=$(now_ms) took ready=1
  shift
  gateway run -d --name "$name" --stop-timeout 40 "$@" >/dev/null && peer ready "$scheme://127.0.0.1:$http_port/readyz" 10000 && ready=0
  took=$(($(now_ms) - from))
  [ "$ready" -eq 0 ] && [ "$took" -lt "${fastest_ms:-$((took + 1))}" ] && fastest_ms=$took
  check "$what" "ready after $took ms" test "$ready" -eq 0
  return "$ready"
}

check_stop() {
  local from=$(now_ms) to code
  pod stop -t 40 "$name" >/dev/null 2>>"$work/words"
  to=$(now_ms)
  code=$(state '{{.State.ExitCode}}')
  check stop "exit code $code after $((to - from)) ms" test "$code" = 0 -a $((to - from)) -lt "$stop_most_ms"
  pod rm "$name" >/dev/null 2>>"$work/words"
}

check_health() {
  pod healthcheck run "$name" >/dev/null 2>>"$work/words"
  check "$1" "the image's own health check finds the gateway on $scheme port $http_port" test $? -eq 0
}

# What the kernel says of the process.
check_process() {
  local pid status cap ids rss
  pid=$(state '{{.State.Pid}}')
  status=/proc/$pid/status
  ids=$(awk '/^(Uid|Gid)/ { print $2, $3, $4, $5 }' "$status" | tr '\n' ' ')
  check uid "uid and gid $ids" test "$ids" = '1000 1000 1000 1000 1000 1000 1000 1000 '
  cap=$(awk '/^Cap(Inh|Prm|Eff|Bnd|Amb)/ { sum = sum $2 } /^NoNewPrivs/ { print sum, $2 }' "$status")
  check capabilities 'none in any set, and no new privileges' test "$cap" = "$(printf '0%.0s' {1..80}) 1"
  rss=$(($(awk '/^VmRSS/ { print $2 }' "$status") / 1024))
  check memory "resident $rss MB idle, at most $memory_most_mb" test "$rss" -lt "$memory_most_mb"
}

check_writes() {
  local tried
  # shellcheck disable=SC2016
  tried=$(inside node -e '
    const { rmSync, writeFileSync } = require("node:fs")
    const wrote = (folder) => { try { writeFileSync(`${folder}/probe`, ""); rmSync(`${folder}/probe`); return true } catch { return false } }
    console.log(["/data", "/", "/app", "/app/dist", "/etc", "/home/node", "/opt", "/run", "/tmp", "/usr/local/bin", "/var/lib", "/var/tmp"].filter(wrote).join(" "))')
  check writes "can write to: $tried" test "$tried" = /data
}

# How often the message is there.
kept() { inside direct-gateway quarantine list --json | grep -o 'proof@peer.example' | wc -l; }

# prove IMAGE: all of it; answers by ${failed[@]}.
prove() {
  local of=$1 reply
  failed=()
  fastest_ms=
  scheme=http
  names gateway-proof-$$
  settings=(-v "$work/master.key:$key_inside:ro" -e "DIRECT_GATEWAY_MASTER_KEY_FILE=$key_inside")
  read -r smtp_port http_port < <(peer ports)
  check_image "$of"
  gateway run --rm "$of" init --domain clinic.example.org --address pat@clinic.example.org >/dev/null
  check first-start 'init on an empty volume, with the master key from a secret file' test $? -eq 0
  if check_start cold-start "$of"; then
    check_health health
    check_writes
    reply=$(peer mail "$smtp_port" pat@clinic.example.org "$work/message.eml")
    check mail "$reply" grep -q ^250 <<<"$reply"
    sleep 3 # The gateway judges the message, and memory settles.
    check kept 'a message that nobody here can open is in quarantine' test "$(kept)" = 1
    check_process
    check_stop
    check_start restart "$of" && check persists 'the message is still there' test "$(kept)" = 1
    pod kill -s KILL "$name" >/dev/null 2>>"$work/words"
    pod rm -f "$name" >/dev/null 2>>"$work/words"
    scheme=https
    read -r smtp_port http_port < <(peer ports)
    check_start after-kill -v "$work/tls:/tls:ro" -e DIRECT_GATEWAY_HTTP_TLS_CERTIFICATE_FILE=/tls/chain.pem \
      -e DIRECT_GATEWAY_HTTP_TLS_KEY_FILE=/tls/key.pem "$of" && {
      check persists 'and after SIGKILL' test "$(kept)" = 1
      check_health health-tls
      check_stop
      # The fastest of three, since other work on the machine makes the others slower.
      check start-time "$fastest_ms ms at best, at most $ready_most_ms" test "$fastest_ms" -lt "$ready_most_ms"
    }
  else
    tail -n 5 "$work/words" >&2
    pod logs "$name" 2>&1 | tail -n 5 >&2
  fi
  clean_up
}

# Names a container and a volume of its own, to be removed at the end.
made=()
names() {
  name=$1 volume=$1
  made+=("$1")
}

clean_up() {
  local one
  for one in "${made[@]}"; do
    pod rm -f "$one" >/dev/null 2>&1
    pod volume rm -f "$one" >/dev/null 2>&1
  done
  made=()
}

# A throw-away PostgreSQL on loopback that asks for a password.
start_database() {
  local programs
  programs=$(node test/setup/programs.mjs postgres)
  [ -n "$programs" ] || return 1
  database_stop=(setpriv --reuid 65534 --regid 65534 --clear-groups "$programs/pg_ctl" -D "$work/pg" -m immediate -w)
  read -r database_port _ < <(peer ports)
  install -d -o 65534 -g 65534 -m 700 "$work/pg"
  openssl rand -hex 32 >"$work/password"
  chown 65534 "$work/password"
  setpriv --reuid 65534 --regid 65534 --clear-groups "$programs/initdb" -D "$work/pg" -U gateway -A scram-sha-256 \
    --pwfile "$work/password" --no-sync >"$work/pg.log" 2>&1 || return 1
  chown 1000:1000 "$work/password"
  chmod 400 "$work/password"
  # Its own words go to its own log: a pipe held open would make everybody wait for it.
  setpriv --reuid 65534 --regid 65534 --clear-groups "$programs/pg_ctl" -D "$work/pg" -l "$work/pg/log" -w -t 30 \
    -o "-c listen_addresses=127.0.0.1 -c port=$database_port -c unix_socket_directories=" start >>"$work/pg.log" 2>&1
}

# Several gateways over one database, started without init, one replaced while another serves.
prove_fleet() {
  local of=$1 reply first second third
  failed=()
  scheme=http
  DIRECT_GATEWAY_MASTER_KEY=$(cat "$work/master.key")
  export DIRECT_GATEWAY_MASTER_KEY
  start_database || {
    check database 'a throw-away PostgreSQL starts' false
    return
  }
  settings=(-e DIRECT_GATEWAY_MASTER_KEY -v "$work/password:/run/secrets/postgres-password:ro"
    -e DIRECT_GATEWAY_STORE_KIND=postgres -e DIRECT_GATEWAY_BLOBS_KIND=database
    -e "DIRECT_GATEWAY_STORE_POSTGRES_URL=postgresql://gateway@127.0.0.1:$database_port/postgres"
    -e DIRECT_GATEWAY_STORE_POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password -e DIRECT_GATEWAY_STORE_POSTGRES_TLS=off)
  first=gateway-fleet-1-$$ second=gateway-fleet-2-$$ third=gateway-fleet-3-$$
  names "$first" && read -r smtp_port http_port < <(peer ports)
  if check_start fleet-first "$of"; then
    inside direct-gateway domain add clinic.example.org >/dev/null &&
      inside direct-gateway address add pat@clinic.example.org >/dev/null
    check fleet-domain 'domain and address added through the first' test $? -eq 0
    names "$second" && read -r smtp_port http_port < <(peer ports)
    check_start fleet-second "$of"
    reply=$(peer mail "$smtp_port" pat@clinic.example.org "$work/message.eml")
    check fleet-mail "through the second: $reply" grep -q ^250 <<<"$reply"
    sleep 3
    name=$first
    check fleet-shared 'the first shows what the second took' test "$(kept)" = 1
    names "$third" && read -r smtp_port http_port < <(peer ports)
    check_start fleet-third "$of"
    name=$first && check_stop
    name=$third
    reply=$(peer mail "$smtp_port" pat@clinic.example.org "$work/message.eml")
    check fleet-again "the same message through the third: $reply" grep -q ^250 <<<"$reply"
    sleep 3
    check fleet-once 'it is there once' test "$(kept)" = 1
    pod kill -s KILL "$second" >/dev/null 2>>"$work/words"
    check fleet-alone 'the third is ready when the second is killed' peer ready "http://127.0.0.1:$http_port/readyz" 5000
    check_stop
  else
    pod logs "$name" 2>&1 | tail -n 5 >&2
  fi
  clean_up
}

finish() {
  clean_up
  [ -n "${database_stop:-}" ] && "${database_stop[@]}" stop >/dev/null 2>&1
  rm -rf "$work"
  # The base and the last image stay for the next run, and nothing else: stages of builds have no names.
  pod image prune -f >/dev/null 2>&1
  umount "$home/storage/overlay" 2>/dev/null
}

mkdir -p "$home"
work=$(mktemp -d "$home/work.XXXXXX")
chmod 711 "$work" # The database runs as another user.
trap finish EXIT
trap 'exit 130' INT TERM
# Limits that this machine can grant; a container may not ask for more.
files=$(ulimit -Hn)
[ "$files" = unlimited ] && files=1048576
[ "$files" -gt 65536 ] && files=65536
processes=4096

command -v node >/dev/null && command -v npm >/dev/null && command -v openssl >/dev/null || stop 'node, npm and openssl are needed'
install_programs
make_base
openssl rand -base64 32 >"$work/master.key"
mkdir "$work/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway.example.org \
  -keyout "$work/tls/key.pem" -out "$work/tls/chain.pem" 2>/dev/null
# A message that is encrypted for somebody else: taken with 250, then refused, and kept.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger.example -keyout /dev/null -out "$work/stranger.pem" 2>/dev/null
{
  printf 'Message-ID: <proof@peer.example>\nDate: %s\n' "$(LC_ALL=C date -R)"
  printf 'Made up.\n' | openssl cms -encrypt -aes256 -from proof@peer.example -to pat@clinic.example.org "$work/stranger.pem"
} >"$work/message.eml" || stop 'openssl does not make the message'
chown -R 1000:1000 "$work/master.key" "$work/tls"
chmod 400 "$work/master.key" "$work/tls/key.pem"
build "$image" "$context/Dockerfile" "$context"

if [ -n "$mutant" ]; then
  mutant_file "$mutant" >"$work/Mutant"
  build "$image-$mutant" "$work/Mutant" "$work"
  prove "$image-$mutant"
  printf 'container: %s checks failed\n' "${#failed[@]}"
  [ ${#failed[@]} -eq 0 ]
  exit
fi

prove "$image"
misses=("${failed[@]}")
prove_fleet "$image"
misses+=("${failed[@]}")
# Each seeded bug, and the check that must see it.
for row in root=user writes=cold-start fat=size fat=packages deaf=health; do
  bug=${row%=*} eye=${row#*=}
  if [ "$bug" != "${seen:-}" ]; then
    mutant_file "$bug" >"$work/Mutant"
    build "$image-$bug" "$work/Mutant" "$work"
    prove "$image-$bug" >"$work/$bug.out" 2>&1
    found=" ${failed[*]} "
    seen=$bug
  fi
  if [[ $found == *" $eye "* ]]; then printf 'ok    %-14s the seeded bug %s is seen by %s\n' mutant "$bug" "$eye"; else
    printf 'FAIL  %-14s %s does not see the seeded bug %s\n' mutant "$eye" "$bug"
    misses+=("mutant-$bug")
  fi
  pod rmi "$image-$bug" >/dev/null 2>&1
done

if [ ${#misses[@]} -eq 0 ]; then printf 'container: all checks held\n'; else
  printf 'container: failed: %s\n' "${misses[*]}"
  exit 1
fi
