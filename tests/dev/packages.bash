# Packages, and what is in them. Sourced by ./dev.

# Where a build's programs and packages are.
target() { printf '%s' "${CARGO_TARGET_DIR:-target}"; }

# The name of the Debian that this machine runs.
this_release() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# What is in each program, as CycloneDX, in target/sbom: the same bytes wherever and whenever a commit is built.
make_boms() {
    local host package file lacking
    host=$(rustc -vV | sed -n 's/^host: //p')
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    export SOURCE_DATE_EPOCH
    say "Writing bills of materials"
    cargo cyclonedx -q --manifest-path agent/Cargo.toml --format json --spec-version 1.5 --target "$host" \
        --describe binaries --no-build-deps
    mkdir -p target/sbom
    for package in agent collector; do
        file=target/sbom/website-monitor-$package.cdx.json
        sed "s|file://$PWD/|file:///usr/src/website-monitor/|" "$package/website-monitor-${package}_bin.cdx.json" >"$file"
    done
    # The tool writes beside each crate of the workspace.
    git ls-files -z --others --ignored --exclude='*_bin.cdx.json' | xargs -0 -r rm -f
    for package in agent collector; do
        file=target/sbom/website-monitor-$package.cdx.json
        lacking=$(comm -23 <(linked "$package" "$host") \
            <(sed -nE 's/^ *"bom-ref": "registry.*#(.*)",$/\1/p' "$file" | sort -u))
        if [ -n "$lacking" ]; then
            say "$file lacks $lacking"
            return 1
        fi
        printf '%s: %s crates\n' "$file" "$(grep -c '"bom-ref": "registry' "$file")"
    done
}

# The JSON Schema of each configuration, in target/config-schema.
make_schemas() {
    local package
    mkdir -p target/config-schema
    for package in agent collector; do
        "$(target)/release/website-monitor-$package" config-schema >"target/config-schema/$package.json"
    done
}

# linked <package> <host>: the crates that Cargo links into its program, as name@version
linked() {
    cargo tree --locked -p "$1" -e normal --target "$2" --prefix none -f '{p}' |
        sed -nE '/\(\//!s/^([^ ]+) v([^ ]+).*/\1@\2/p' | sort -u
}

supply() {
    need_build
    install_missing
    need_tool cargo-deny "looks at what we depend on"
    need_tool cargo-cyclonedx "writes bills of materials"
    say "Looking at licences, bans and sources"
    cargo deny --locked check licenses bans sources
    if cargo deny fetch db; then
        say "Looking at advisories"
        cargo deny --locked check advisories
    else
        say "The database of advisories can't be reached: they were NOT looked at."
    fi
    (make_boms)
}

# What must not depend on where, when and by whom it is built.
make_packages() {
    local registry=${CARGO_HOME:-${HOME:-/root}/.cargo} prefixes
    prefixes="-ffile-prefix-map=$PWD=/usr/src/website-monitor -ffile-prefix-map=$registry=/usr/src/cargo"
    export CFLAGS=$prefixes CXXFLAGS=$prefixes
    export RUSTFLAGS="--remap-path-prefix=$PWD=/usr/src/website-monitor --remap-path-prefix=$registry=/usr/src/cargo"
    say "Building for release (the first time it takes some minutes)"
    cargo build --locked --release -p agent -p collector --bins
    make_boms
    make_schemas
    for package in agent collector; do
        cargo deb --locked --no-build --strip --no-dbgsym -p "$package"
    done
}

package() {
    need_packaging
    # Those that lie there may be of another commit.
    rm -rf "$(target)/debian"
    (make_packages)
    say "Looking at the packages"
    lintian --fail-on error --suppress-tags bogus-mail-host "$(target)"/debian/*.deb
    ls -l "$(target)"/debian/*.deb
    [ "${1:-}" = twice ] || return 0
    say "Making the same once more, from another checkout of this commit"
    rm -rf target/again
    git clone -q . target/again
    (cd target/again && unset CARGO_TARGET_DIR && make_packages)
    for deb in "$(target)"/debian/*.deb; do
        cmp "$deb" "target/again/target/debian/${deb##*/}"
        sha256sum "$deb"
    done
    rm -rf target/again
    say "They are the same bytes."
}

# package_for <release>: the packages of a Debian, in a directory that it names. For another Debian than this
# machine's they are made inside of one, since a program runs only where its libraries are as new as its builder's.
package_for() {
    local release=$1 tree=target/hosts/build-$1 home=${HOME:-/root}
    local cargo=${CARGO_HOME:-$home/.cargo} rustup=${RUSTUP_HOME:-$home/.rustup}
    if [ "$release" = "$(this_release)" ]; then
        package >&2
        realpath "$(target)/debian"
        return
    fi
    if [ ! -d "$tree" ]; then
        say "Making a Debian $release to build in"
        rm -rf "$tree.new"
        mkdir -p "$tree.new"
        debootstrap --variant=minbase --include=ca-certificates "$release" "$tree.new" >&2
        mv "$tree.new" "$tree"
    fi
    say "Making the packages inside of Debian $release"
    mkdir -p "target/$release"
    systemd-nspawn -q --register=no --keep-unit --resolv-conf=replace-host -D "$tree" \
        --bind="$PWD:/usr/src/website-monitor" --bind="$cargo:/usr/src/cargo" --bind-ro="$rustup:/usr/src/rustup" \
        --bind-ro=/etc/ssl/certs --bind-ro=/usr/share/ca-certificates --bind-ro=/usr/local/share/ca-certificates \
        --setenv=GIT_CONFIG_COUNT=1 --setenv=GIT_CONFIG_KEY_0=safe.directory --setenv='GIT_CONFIG_VALUE_0=*' \
        --setenv=CARGO_HOME=/usr/src/cargo --setenv=RUSTUP_HOME=/usr/src/rustup --setenv=HOME=/root \
        --setenv=CARGO_TARGET_DIR="/usr/src/website-monitor/target/$release" \
        --setenv=CARGO_INSTALL_ROOT="/usr/src/website-monitor/target/$release/tools" \
        --setenv=PATH="/usr/src/website-monitor/target/$release/tools/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --chdir=/usr/src/website-monitor ./dev package >&2
    realpath "target/$release/debian"
}
