#!/bin/bash
# Install the Debian packages that build, tests, demo and benchmarks need. Does nothing when all are there.
#   install-deps.sh            all of them
#   install-deps.sh --build    only what the build needs
set -euo pipefail

build=(
  g++ make cmake ninja-build ccache pkg-config libcli11-dev libfmt-dev libexpected-dev libmnl-dev libseccomp-dev
  libcap-dev libpcap-dev nettle-dev libtomlplusplus-dev nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev
)
tests=(
  python3 python3-pytest python3-scapy iproute2 iperf3 slirp4netns passt curl bind9-dnsutils isc-dhcp-client udhcpc
  dhcpcd-base net-tools wget traceroute netcat-openbsd uidmap iputils-ping ethtool strace tcpdump tshark procps
  podman buildah rootlesskit crun conmon catatonit busybox-static nginx wrk nftables linux-perf dnsmasq-base openssl git
  golang-go golang-github-lucas-clemente-quic-go-dev caddy python3-cryptography knot-dnsutils unbound apt-utils
  util-linux mandoc prometheus tmux clang-16 clang-tidy-16 clang-format-16 libclang-rt-16-dev cppcheck
)

wanted=("${build[@]}")
[[ ${1:-} == --build ]] || wanted+=("${tests[@]}")

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=absent
  [[ $state == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
    exit 1
  fi
  root=(sudo)
fi
echo "install-deps: installing ${missing[*]}"
# nginx, Prometheus, Podman and others come with services, and starting one on this machine is not what the tests need. A machine that has
# a policy of its own for services keeps it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
fi
# tshark and iperf3 ask questions otherwise.
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
# Nor at the next start of the machine.
for service in nginx caddy unbound prometheus; do
  if [[ " ${missing[*]} " == *" $service "* ]] && command -v systemctl >/dev/null; then
    "${root[@]}" systemctl --quiet disable "$service.service" || true
  fi
done
