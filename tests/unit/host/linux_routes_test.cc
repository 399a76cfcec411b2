// Datagrams where the path matters: MTU, outbound addresses, ping sockets. In namespaces of the tests' own.
#include <net/if.h>

#include <fstream>
#include <sstream>

#include "unit/host/host_fixture.hh"
#include "unit/support/own_namespace.hh"
#include "wire/icmp.hh"

namespace sf::host {
namespace {

const Address kServer4 = Address::v4(192, 0, 2, 1);
const Address kServer6 = *Address::parse("2001:db8::1");

bool add_addresses() {
  return test::shell(
             "ip addr add 192.0.2.1/24 dev lo && ip addr add 192.0.2.9/24 dev lo && "
             "ip addr add 2001:db8::1/64 dev lo nodad && ip addr add 2001:db8::9/64 dev lo nodad") &&
         test::addresses_usable();
}

TEST(LinuxDatagramPath, TellsTheMtuWhereFragmentsAreUnwanted) {
  test::in_own_namespace([] {
    CHILD_EXPECT(add_addresses() && test::shell("ip link set lo mtu 1500"));
    for (const Address& address : {kServer4, kServer6}) {
      HostRig rig;
      const Peer peer(SOCK_DGRAM, address);
      const auto socket = rig.host.open_datagram(DatagramKind::udp, address.is_v4(), 1);
      CHILD_EXPECT(socket);
      const auto data = pattern(2000);
      CHILD_EXPECT(rig.host.send_datagram(*socket, peer.endpoint(), data, {.dont_fragment = true}) ==
                   HostError::message_too_large);
      DatagramError error;
      CHILD_EXPECT(rig.host.receive_error(*socket, error));
      CHILD_EXPECT(error.error == wire::IcmpError::packet_too_big);
      CHILD_EXPECT(error.mtu == 1500);
      CHILD_EXPECT(error.destination == peer.endpoint());
      CHILD_EXPECT(error.offender.is_unspecified());
      // And fragments where they are not.
      CHILD_EXPECT(rig.host.send_datagram(*socket, peer.endpoint(), data, {}) == HostError::none);
      CHILD_EXPECT(peer.receive() == data);
      CHILD_EXPECT(rig.host.send_datagram(*socket, peer.endpoint(), data, {.dont_fragment = true}) ==
                   HostError::message_too_large);
    }
    return 0;
  });
}

TEST(LinuxDatagramPath, FragmentsEachOfManyLargeOnes) {
  test::in_own_namespace([] {
    CHILD_EXPECT(add_addresses() && test::shell("ip link set lo mtu 1500"));
    for (const Address& address : {kServer4, kServer6}) {
      HostRig rig;
      const Peer peer(SOCK_DGRAM, address);
      const auto socket = rig.host.open_datagram(DatagramKind::udp, address.is_v4(), 1);
      CHILD_EXPECT(socket);
      const auto data = pattern(5 * 2000 - 10);
      // The kernel refuses segments above the MTU; they go one by one.
      CHILD_EXPECT(rig.host.send_datagram(*socket, peer.endpoint(), data, {.segment_size = 2000}) ==
                   HostError::none);
      std::vector<std::uint8_t> all;
      for (int i = 0; i < 5; ++i) {
        const auto one = peer.receive();
        CHILD_EXPECT(one.size() == (i < 4 ? 2000U : 1990U));
        all.insert(all.end(), one.begin(), one.end());
      }
      CHILD_EXPECT(all == data);
    }
    return 0;
  });
}

TEST(LinuxDatagramPath, LeavesFromTheOutboundAddress) {
  test::in_own_namespace([] {
    CHILD_EXPECT(add_addresses());
    HostRig rig({.outbound4 = Address::v4(192, 0, 2, 9),
                 .outbound6 = Address::parse("2001:db8::9"),
                 .outbound_interface = "lo"});
    for (const Address& address : {kServer4, kServer6}) {
      const Peer peer(SOCK_DGRAM, address);
      const auto socket = rig.host.open_datagram(DatagramKind::udp, address.is_v4(), 1);
      CHILD_EXPECT(socket);
      CHILD_EXPECT(rig.host.send_datagram(*socket, peer.endpoint(), pattern(5), {}) == HostError::none);
      Endpoint from;
      CHILD_EXPECT(peer.receive_from(from).size() == 5);
      CHILD_EXPECT(from.address == *Address::parse(address.is_v4() ? "192.0.2.9" : "2001:db8::9"));
    }
    HostRig no_interface({.outbound_interface = "nosuch0"});
    CHILD_EXPECT(no_interface.host.open_datagram(DatagramKind::udp, true, 1).error() ==
                 HostError::net_unreachable);
    return 0;
  });
}

// Bytes that `device` of this process's namespace has sent.
unsigned long long bytes_sent(const std::string& device) {
  std::ifstream file("/proc/self/net/dev");
  for (std::string line; std::getline(file, line);) {
    const auto found = line.find(device + ":");
    if (found == std::string::npos) continue;
    std::istringstream fields(line.substr(found + device.size() + 1));
    unsigned long long value = 0;
    for (int i = 0; i < 9; ++i) fields >> value;
    return value;
  }
  return 0;
}

TEST(LinuxDatagramPath, ChoosesTheOutboundInterfaceButForLoopback) {
  test::in_own_namespace([] {
    if (!test::shell("ip link add out0 type veth peer name in0 2>/dev/null")) return test::kSkipped;
    // The routes lead to `other`; only by name does a datagram leave through out0.
    CHILD_EXPECT(test::shell(
        "ip link set out0 up && ip link set in0 up && ip addr add 192.0.2.1/24 dev out0 && "
        "ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:01 dev out0 && "
        "ip route add 198.51.100.0/24 dev out0 metric 10 && "
        "ip link add other0 type veth peer name other1 && ip link set other0 up && "
        "ip link set other1 up && ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:02 dev other0 && "
        "ip route add 198.51.100.0/24 dev other0 metric 1"));
    HostRig rig({.outbound_interface = "out0"});
    const auto socket = rig.host.open_datagram(DatagramKind::udp, true, 1);
    CHILD_EXPECT(socket);
    const auto before_out = bytes_sent("out0");
    CHILD_EXPECT(rig.host.send_datagram(*socket, {Address::v4(198, 51, 100, 1), 9}, pattern(1000), {}) ==
                 HostError::none);
    CHILD_EXPECT(bytes_sent("out0") >= before_out + 1000);
    CHILD_EXPECT(bytes_sent("other0") < 1000);
    // As to a name server on 127.0.0.53.
    const Peer local(SOCK_DGRAM, Address::v4(127, 0, 0, 1));
    CHILD_EXPECT(rig.host.send_datagram(*socket, local.endpoint(), pattern(7), {}) == HostError::none);
    Endpoint from;
    CHILD_EXPECT(local.receive_from(from).size() == 7);
    CHILD_EXPECT(local.send_to(from, pattern(8)));
    CHILD_EXPECT(rig.receive(*socket, 1).size() == 1);
    return 0;
  });
}

// Its address alone says nothing of which link that is.
TEST(LinuxDatagramPath, AnswersAClientOnItsOwnLink) {
  test::in_own_namespace([] {
    if (!test::shell("ip link add link0 type veth peer name link1 2>/dev/null")) return test::kSkipped;
    CHILD_EXPECT(test::shell(
        "ip addr add fe80::77/64 dev link0 nodad && ip link set link1 up && ip link set link0 up"));
    CHILD_EXPECT(test::addresses_usable());
    HostRig rig;
    const auto port = rig.host.bind_datagram({Address(), 0}, 3);
    CHILD_EXPECT(port);
    const Address own = Address::parse("fe80::77")->with_scope(::if_nametoindex("link0"));
    const Peer client(SOCK_DGRAM, own);
    CHILD_EXPECT(client.send_to({own, rig.host.local_endpoint(*port).port}, pattern(5)));
    Endpoint from;
    std::optional<Address> to;
    CHILD_EXPECT(rig.run_until([&] {
      for (const ReceivedDatagram& one : rig.host.receive_datagrams(*port)) {
        from = one.from;
        to = one.to;
      }
      return from.port != 0;
    }));
    CHILD_EXPECT(from == client.endpoint());
    CHILD_EXPECT(from.address.scope() != 0);
    CHILD_EXPECT(rig.host.send_datagram(*port, from, pattern(7), {.source = to}) == HostError::none);
    CHILD_EXPECT(client.receive().size() == 7);
    return 0;
  });
}

TEST(LinuxPing, IsDeniedOutsideOfTheGroupRange) {
  test::in_own_namespace([] {
    // Nobody is in the range of a new network namespace.
    HostRig rig;
    for (const bool v4 : {true, false}) {
      const auto socket = rig.host.open_datagram(DatagramKind::ping, v4, 1);
      CHILD_EXPECT(!socket && socket.error() == HostError::denied);
    }
    return 0;
  });
}

TEST(LinuxPing, PingsAndGetsAnswers) {
  test::in_own_namespace([] {
    if (!test::write_file("/proc/sys/net/ipv4/ping_group_range", "0 0")) return test::kSkipped;
    CHILD_EXPECT(add_addresses());
    HostRig rig;
    for (const Address& address : {kServer4, kServer6}) {
      const bool v4 = address.is_v4();
      const auto socket = rig.host.open_datagram(DatagramKind::ping, v4, 1);
      CHILD_EXPECT(socket);
      const auto data = pattern(40);
      std::vector<std::uint8_t> buffer(100);
      Writer out(buffer);
      wire::IcmpMessage request;
      request.type = v4 ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
      request.rest = 0x12340007;
      request.body = data;
      request.emit(out, address, address);
      CHILD_EXPECT(rig.host.send_datagram(*socket, {address, 0}, out.written(), {}) == HostError::none);
      const auto received = rig.receive(*socket, 1);
      CHILD_EXPECT(received.size() == 1);
      CHILD_EXPECT(received[0].from.address == address);
      CHILD_EXPECT(received[0].ttl == 64);
      const auto reply = wire::IcmpMessage::parse(received[0].payload);
      CHILD_EXPECT(reply && reply->type == (v4 ? wire::icmpv4::kEchoReply : wire::icmpv6::kEchoReply));
      CHILD_EXPECT(reply->echo_sequence() == 7);
      CHILD_EXPECT(reply->echo_id() == rig.host.local_endpoint(*socket).port);
      CHILD_EXPECT(std::vector<std::uint8_t>(reply->body.begin(), reply->body.end()) == data);
    }
    return 0;
  });
}

}  // namespace
}  // namespace sf::host
