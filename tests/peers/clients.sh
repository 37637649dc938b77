#!/usr/bin/env bash
# Clients of AMQP 0-9-1 in other languages, in their latest versions, talk to the example `amqp_listener`:
# `bash tests/peers/clients.sh`, from anywhere. Where a client's own tests for a broker can be had, they run, and a program of
# ours in `clients/` too. It prints a table, and fails if a row has a failure that is not explained in it.
#
# It needs Python 3, and uses Node, Java, Go, Ruby, PHP and a C compiler if they are there. Debian has their clients in
# librabbitmq-client-java, golang-github-rabbitmq-amqp091-go-dev, ruby-bunny, php-amqplib and librabbitmq-dev. LISTENER names a
# listener that is built. PIKA_SOURCE and AMQPLIB_SOURCE name clones of the clients' repositories. Without them they are cloned
# from GitHub, and left out if that cannot be reached.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=$PWD/tests/peers/clients
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/clients
mkdir -p "$work"

listener=${LISTENER:-}
if [ -z "$listener" ]; then
  cargo build --quiet --all-features --example amqp_listener || exit 1
  listener=$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug/examples/amqp_listener
fi
rm -f "$work/listener.log"
"$listener" --port 0 >"$work/listener.log" 2>&1 &
pid=$!
trap 'kill -INT $pid' EXIT
until grep -q '^listening' "$work/listener.log" 2>/dev/null; do kill -0 $pid || exit 1; done
port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/listener.log")
export AMQP_URL=amqp://guest:guest@127.0.0.1:$port// URL=amqp://guest:guest@127.0.0.1:$port
export RABBITMQ_HOST=127.0.0.1 RABBITMQ_5672_TCP=$port

unexplained=0
table=()
# row CLIENT VERSION RUN KNOWN WHY COMMAND..: runs a command, and looks how many tests have passed. KNOWN of them may fail.
row() {
  local client=$1 version=$2 run=$3 known=$4 why=$5 log passed failed total
  shift 5
  log=$work/$client-${run// /-}.log
  timeout 600 "$@" >"$log" 2>&1
  local code=$?
  passed=$(grep -oE '[0-9]+ passed|^# pass [0-9]+|^[0-9]+ of [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+' | head -1)
  failed=$(grep -oE '[0-9]+ failed|^# fail [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+')
  total=$(grep -oE '^[0-9]+ of [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+$')
  [ -z "$total" ] || failed=$((total - ${passed:-0}))
  if [ -z "$passed" ] || [ "${failed:-0}" -gt "$known" ] || { [ $code -ne 0 ] && [ "${failed:-0}" -eq 0 ]; }; then
    unexplained=1 why="UNEXPLAINED, see $log"
  fi
  table+=("$client | $version | $run | ${passed:-0} passed, ${failed:-0} failed | $why")
}
skip() { table+=("$1 | - | - | SKIPPED | $2"); }

# clone URL FOLDER GIVEN: a repository, from a clone that is given or from its address.
clone() {
  rm -rf "$2"
  timeout 120 git clone --quiet --depth 1 "${3:-$1}" "$2" 2>/dev/null
}

python3 -m venv "$work/python" || exit 1
python=$work/python/bin/python
packages=(pika amqp kombu aio-pika celery oslo.messaging)
"$python" -m pip install --quiet --upgrade "${packages[@]}" pytest pytest-asyncio pytest-rerunfailures pytest-timeout \
  pytest-freezer hypothesis gevent tornado twisted || exit 1
version() { "$python" -c "import importlib.metadata as m; print(m.version('$1'))"; }

# sdist PACKAGE: the folder of its sources.
sdist() {
  rm -rf "$work/$1" && mkdir "$work/$1"
  "$python" -m pip download --quiet --no-deps --no-binary :all: --dest "$work/$1" "$1" && tar xzf "$work/$1"/*.tar.gz -C "$work/$1"
  echo "$work/$1"/*/
}

row py-amqp "$(version amqp)" "own suite" 0 "without TLS, which is the embedder's" \
  env -C "$(sdist amqp)" "$python" -m pytest -q t/integration/test_rmq.py -k "not tls"
row kombu "$(version kombu)" "own suite" 0 "" env -C "$(sdist kombu)" "$python" -m pytest -q t/integration/test_py_amqp.py
if clone https://github.com/pika/pika "$work/pika" "${PIKA_SOURCE:-}"; then
  sed -i "s/5672/$port/g" "$work"/pika/tests/acceptance/*.py
  row pika "$(version pika)" "own suite" 0 "" env -C "$work/pika" "$python" -m pytest -q tests/acceptance
else
  skip pika "its repository cannot be reached"
fi
for program in pika aio-pika celery; do
  row "$program" "$(version "$program")" program 0 "" "$python" "$here/${program//-/_}_program.py"
done

if command -v npm >/dev/null && (mkdir -p "$work/node" && cd "$work/node" && npm init -y && npm install amqplib) >/dev/null 2>&1; then
  cp "$here/amqplib_program.js" "$work/node"
  amqplib=$(node -p "require('$work/node/node_modules/amqplib/package.json').version")
  row amqplib "$amqplib" program 0 "" node "$work/node/amqplib_program.js"
  if clone https://github.com/amqp-node/amqplib "$work/amqplib" "${AMQPLIB_SOURCE:-}"; then
    (cd "$work/amqplib" && npm install >/dev/null 2>&1)
    suite() { (cd "$work/amqplib" && node --test --test-timeout=5000 test/*api.test.js test/connect.test.js test/recovery.test.js); }
    export -f suite
    row amqplib "$(git -C "$work/amqplib" describe --always)" "own suite" 1 "one test asks localhost:5672" \
      env work="$work" bash -c suite
  fi
else
  skip amqplib "no npm"
fi

# Of Maven the latest version, or Debian's librabbitmq-client-java.
jars=$work/java/target/dependency
if command -v mvn >/dev/null && command -v java >/dev/null; then
  mkdir -p "$work/java"
  cp "$here/pom.xml" "$work/java"
  (cd "$work/java" && mvn -q dependency:copy-dependencies) >"$work/mvn.log" 2>&1
fi
classes=$jars/*
[ -d "$jars" ] || { jars=/usr/share/java classes=$(printf "/usr/share/java/%s.jar:" amqp-client slf4j-api slf4j-nop); }
client=$(find "$jars" -name 'amqp-client-[0-9]*.jar' -printf '%f\n' 2>/dev/null | head -1)
if command -v javac >/dev/null && [ -n "$client" ]; then
  version=${client#amqp-client-}
  row amqp-client "${version%.jar}" program 0 Java java -cp "$classes" "$here/JavaProgram.java"
else
  skip amqp-client "Java or the library is not there"
fi

rust() { (cd "$here/rust" && cargo run --quiet --target-dir "$work/rust" --bin "$1"); }
export -f rust
for client in lapin amqprs; do
  (cd "$here/rust" && cargo update --quiet) 2>/dev/null
  version=$(sed -n "/name = \"$client\"/{n;s/version = \"\(.*\)\"/\1/p}" "$here/rust/Cargo.lock")
  row "$client" "$version" program 0 "" env here="$here" work="$work" bash -c "rust $client"
done

# The suite asks for the product RabbitMQ before it tests what only RabbitMQ has.
go=/usr/share/gocode/src/github.com/rabbitmq/amqp091-go
debian() { dpkg-query -W -f '${Version}' "$1"; }
if command -v go >/dev/null && [ -d $go ]; then
  rm -rf "$work/go" && mkdir -p "$work/go/src/github.com/rabbitmq"
  cp -rL $go "$work/go/src/github.com/rabbitmq"
  sed -i 's/== "RabbitMQ"/== "leveret"/' "$work/go/src/github.com/rabbitmq/amqp091-go/integration_test.go"
  suite() {
    cd "$work/go/src/github.com/rabbitmq/amqp091-go" || return
    GOPATH=$work/go:/usr/share/gocode GO111MODULE=off GOCACHE=$work/go/cache AMQP_URL=$URL/ \
      go test -tags integration -count=1 -v . >suite.log 2>&1
    local code=$?
    cat suite.log
    echo "$(grep -c '^--- PASS' suite.log) of $(grep -cE '^--- (PASS|FAIL)' suite.log)"
    return $code
  }
  export -f suite
  row amqp091-go "$(debian golang-github-rabbitmq-amqp091-go-dev)" "own suite" 0 "" env work="$work" URL="$URL" bash -c suite
else
  skip amqp091-go "Go or Debian's package of it is not there"
fi

if ruby -e 'require "bunny"' 2>/dev/null; then
  row bunny "$(ruby -e 'require "bunny"; print Bunny::VERSION')" program 0 "" ruby "$here/bunny_program.rb"
else
  skip bunny "Ruby or the gem is not there"
fi
if php -r 'exit((int) !@include "PhpAmqpLib/autoload.php");' 2>/dev/null; then
  row php-amqplib "$(debian php-amqplib)" program 0 "" php "$here/php_amqplib_program.php"
else
  skip php-amqplib "PHP or the library is not there"
fi
if cc "$here/rabbitmq_c_program.c" -o "$work/rabbitmq_c_program" -lrabbitmq 2>/dev/null; then
  row rabbitmq-c "$(debian librabbitmq-dev)" program 0 "" "$work/rabbitmq_c_program"
else
  skip rabbitmq-c "a compiler for C or the library is not there"
fi

echo "client | version | run | result | explained"
printf '%s\n' "${table[@]}"
exit $unexplained
