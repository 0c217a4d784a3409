# What each command of ./dev needs beside Rust, and how it is installed where it is missing. Sourced by ./dev.
#
# Debian 12 and 13 name some packages differently. Where one name fits both (default-jre-headless, postgresql), it is
# taken; what is on a machine is told by a command that works, never by the name of a package.

missing=()

# need <package> <why> <command that succeeds where it is there>
need() {
    local package=$1 why=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        missing+=("$package")
        say "$package is missing: it $why"
    fi
}

# there <program>...: whether all of them are there, also those that only root has in the path
there() {
    local program
    for program in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || return 1
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "Install them by the means of this system. These are the names that Debian gives them."
        exit 69
    fi
    say "Installing ${missing[*]} by apt"
    apt_quietly update
    # In runlevel 1 no service is started: the database server is used for private clusters only.
    apt_quietly install -y --no-install-recommends "${missing[@]}"
    missing=()
}

# apt_quietly <command>...: apt-get with a dot for every ten of its steps in the place of a line for each, and all that it said
# when it fails
apt_quietly() {
    local said
    said=$(mktemp)
    if ! as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q "$@" </dev/null 2>&1 | tee "$said" |
        awk '/^(Get:|Unpacking|Setting up)/ && ++steps % 10 == 0 { printf "."; fflush() } END { print "" }' >&2; then
        cat "$said" >&2
        rm -f "$said"
        return 1
    fi
    rm -f "$said"
}

# Rust itself is not installed: people choose how they have it.
need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null; then
        say "Rust is missing. https://rustup.rs says how to install it; version $wanted or later is needed."
        exit 69
    fi
    found=$(rustc --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
        say "Rust $found is too old: version $wanted or later is needed. \`rustup update stable\` installs it."
        exit 69
    fi
}

need_build() {
    need_rust
    need build-essential "compiles librdkafka and zstd" there cc c++ make
    need pkg-config "finds libraries" there pkg-config
    need libssl-dev "has the headers of OpenSSL" pkg-config --exists openssl
    need libpq-dev "has the headers of PostgreSQL's client" pkg-config --exists libpq
}

need_servers() {
    need_database
    need pgbouncer "stands before the database in a test" test -x /usr/sbin/pgbouncer
    need_kafka
}

need_database() {
    need postgresql "is the database server, of which private ones are started" \
        sh -c 'ls /usr/lib/postgresql/*/bin/initdb || command -v initdb'
}

need_kafka() {
    need default-jre-headless "runs Apache Kafka" there java
    need maven "fetches Apache Kafka" there mvn
}

need_browser() {
    need chromium "shows the pages" there chromium
    need fonts-dejavu-core "has the letters that it shows" test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
}

# What tests with mounts and networks of their own need. A minimal Debian lacks some of it.
need_own_disks() {
    need e2fsprogs "makes the file systems whose power is cut" there mkfs.ext4
    need iproute2 "sets up a network without a name service" there ip
    need mount "mounts file systems in files" there mount losetup umount
}

need_packaging() {
    need_build
    need dpkg-dev "finds the libraries that a program needs" there dpkg-shlibdeps
    need lintian "looks at the packages" there lintian
    need git "tells the commit's time, by which packages are dated" there git
    install_missing
    need_tool cargo-deb "makes the packages"
    need_tool cargo-cyclonedx "writes bills of materials"
}

need_debian() {
    need debootstrap "makes the Debian that tests boot" there debootstrap
    need systemd-container "boots it" there systemd-nspawn
}

# need_tool <crate> <what it is for>
need_tool() {
    if ! command -v "$1" >/dev/null; then
        say "Installing $1, which $2"
        cargo install --locked "$1"
    fi
}

need_linters() {
    if ! { cargo fmt --version && clippy-driver --version; } >/dev/null 2>&1; then
        say "Installing rustfmt and clippy, which look at the code"
        rustup component add rustfmt clippy
    fi
}
