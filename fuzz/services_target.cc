// What is answered inside: ARP, neighbour discovery, DHCP, DHCPv6 and the DNS forwarder, each fed with
// messages as they stand on the wire, answers of name servers and time. Every reply must be well-formed.
#include <array>

#include "fuzz_host.hh"
#include "input.hh"
#include "networks.hh"
#include "services/arp.hh"
#include "services/dhcp.hh"
#include "services/dhcpv6.hh"
#include "services/dns_forwarder.hh"
#include "services/ndp.hh"

namespace sf::fuzz {
namespace {

class Services final : public services::DnsReplySink {
 public:
  explicit Services(Input& in) : in_(in) {
    host_.configured.servers = {{Address::v4(127, 0, 0, 53), 53}, {*Address::parse("2001:db8::53"), 53}};
    const std::uint8_t bits = in_.u8();
    if ((bits & 1) != 0) host_.configured.servers.clear();
    if ((bits & 2) != 0)
      host_.configured.search = {"example.test", std::string(300, 'x'), "a b", "two.example"};
    if ((bits & 4) != 0) network_.ipv6 = false;
    if ((bits & 8) != 0) network_.dhcp_last = network_.dhcp_first;
  }

  void step() {
    const std::uint8_t op = in_.u8();
    switch (op % 9) {
      case 0:
        return arp();
      case 1:
        return ndp();
      case 2:
        return dhcp();
      case 3:
        return dhcpv6();
      case 4:
      case 5:
        return query();
      case 6:
        return answer();
      case 7:
        host_.fail_next(op >> 6, host::HostError::no_descriptors);
        return host_.fail_sends(op >> 5, host::HostError::net_unreachable);
      default:
        return pass_time();
    }
  }

  void finish() {
    for (int i = 0; i < 10'000 && dns_.deadline() != kNever; ++i) {
      now_ = std::max(now_, dns_.deadline());
      dns_.on_deadline(now_);
    }
    require(dns_.pending() == 0, "queries are left");
    require(host_.open_sockets() == 0, "sockets are left");
    const services::DnsCounters& c = dns_.counters();
    require(c.answers + c.overflows + c.failures + c.malformed + c.duplicates <= c.queries + c.malformed,
            "more outcomes than queries");
  }

 private:
  [[nodiscard]] Bytes message() {
    const std::size_t size = in_.u16() % 1500;
    return in_.bytes(size);
  }

  void arp() {
    const Exact bytes(message());
    const auto request = wire::ArpPacket::parse(bytes.bytes());
    if (!request) return;
    const auto reply = services::answer_arp(*request, network_);
    if (reply)
      require(reply->operation == wire::ArpPacket::kReply && reply->target_mac == request->sender_mac,
              "an ARP reply");
  }

  void ndp() {
    const bool local = in_.flag();
    const Exact bytes(message());
    wire::IpPacket packet;
    packet.source = local ? link_local_from(kGuestMac) : in_.flag() ? kGuest6 : Address{};
    packet.destination = in_.flag() ? wire::kAllRouters : wire::solicited_node(network_.gateway6);
    packet.protocol = 58;
    packet.ttl = in_.flag() ? 64 : 255;
    packet.payload = packet.whole = bytes.bytes();
    if (bytes.bytes().empty() || !services::is_ndp(bytes.bytes()[0])) return;
    std::array<std::uint8_t, services::kMaxNdpMessage> buffer{};
    Writer out(buffer);
    const auto reply = services::answer_ndp(packet, kGuestMac, network_, host_.configured.search, out);
    if (!reply || !*reply) return;
    require(out.ok() && (*reply)->ip.ttl == 255, "a neighbour discovery reply");
    require(
        wire::RouterAdvertisement::parse(out.written()) || wire::NeighborAdvertisement::parse(out.written()),
        "a neighbour discovery reply does not parse");
  }

  void dhcp() {
    const Exact bytes(message());
    const auto request = wire::DhcpMessage::parse(bytes.bytes());
    if (!request) return;
    const auto reply = dhcp_.answer(*request, host_.configured.search, now_);
    require(dhcp_.bound(now_) <= services::DhcpServer::kMaxRange + services::DhcpServer::kMaxRequested,
            "leases");
    if (!reply) return;
    std::array<std::uint8_t, wire::kDhcpMaxSize> buffer{};
    Writer out(buffer);
    reply->message.emit(out);
    require(out.ok(), "a DHCP reply above the size that every client takes");
    const auto parsed = wire::DhcpMessage::parse(out.written());
    require(parsed && parsed->transaction == request->transaction &&
                parsed->operation == wire::DhcpMessage::kBootReply,
            "a DHCP reply");
    const bool granted = parsed->type == wire::DhcpType::offer || parsed->type == wire::DhcpType::ack;
    require(parsed->yours.is_unspecified() ||
                (granted && network_.prefix4.contains(parsed->yours) && !network_.is_ours(parsed->yours)),
            "an address that is none to have");
  }

  void dhcpv6() {
    const Exact bytes(message());
    const auto request = wire::Dhcpv6Message::parse(bytes.bytes());
    if (!request) return;
    const auto reply = services::answer_dhcpv6(*request, network_, host_.configured.search);
    if (!reply) return;
    std::vector<std::uint8_t> buffer(4000);
    Writer out(buffer);
    reply->emit(out);
    if (!out.ok()) return;  // dropped by the engine
    const auto parsed = wire::Dhcpv6Message::parse(out.written());
    require(parsed && parsed->transaction == request->transaction &&
                parsed->client_id == request->client_id && !parsed->server_id.empty(),
            "a DHCPv6 reply");
  }

  void query() {
    const std::uint8_t who = in_.u8();
    const Exact bytes(message());
    const Endpoint guest{(who & 1) != 0 ? kGuest4 : kGuest6, static_cast<std::uint16_t>(1000 + who / 2 % 4)};
    dns_.query(guest, kGuestMac, {(who & 1) != 0 ? network_.dns4 : network_.dns6, 53}, bytes.bytes(), now_);
    require(dns_.pending() <= services::DnsForwarder::kMaxPending, "too many queries");
  }

  // A name server's answer, made of the query or raw; from where it was sent to or from elsewhere.
  void answer() {
    const std::uint8_t which = in_.u8();
    const std::uint8_t how = in_.u8();
    if (host_.sockets.empty()) return;
    FuzzHost::Socket& s = host_.sockets[which % host_.sockets.size()];
    if (!s.open) return;
    FuzzHost::Datagram one;
    one.info.from = (how & 1) != 0 ? Endpoint{s.last_to.address, 5353} : s.last_to;
    if ((how & 2) == 0) one.bytes = s.last_sent;
    if (one.bytes.size() > 3) {
      one.bytes[2] = static_cast<std::uint8_t>(one.bytes[2] | 0x80);
      one.bytes[3] = static_cast<std::uint8_t>(one.bytes[3] | (how >> 4));
    }
    const Bytes more = message();
    one.bytes.insert(one.bytes.end(), more.begin(), more.end());
    one.info.truncated = (how & 4) != 0;
    if ((how & 8) != 0) {
      FuzzHost::QueuedError error{{}, s.last_sent};
      error.info.destination = s.last_to;
      error.info.error = static_cast<wire::IcmpError>(how >> 5);
      s.errors.push_back(std::move(error));
    } else {
      s.arrived.push_back(std::move(one));
    }
    dns_.on_socket_event(static_cast<std::uint32_t>(s.token), FuzzHost::readiness(s), now_);
  }

  void pass_time() {
    now_ += std::chrono::milliseconds(in_.u8() * 20);
    for (int i = 0; i < 2000 && dns_.deadline() <= now_; ++i) dns_.on_deadline(now_);
    require(dns_.deadline() > now_, "the forwarder never rests");
  }

  void dns_reply(const Endpoint& guest, const MacAddress& mac, const Endpoint& from, Bytes bytes,
                 Time) override {
    require(mac == kGuestMac && (from.address == network_.dns4 || from.address == network_.dns6) &&
                guest.port >= 1000,
            "to whom an answer goes");
    require(wire::DnsHeader::parse(bytes).has_value() && wire::DnsHeader::parse(bytes)->response,
            "an answer");
  }

  Input& in_;
  link::Network network_ = make_network();
  FuzzHost host_;
  services::DhcpServer dhcp_{network_};
  std::uint32_t random_ = 0;
  // Small numbers, so that the input can meet them by chance.
  services::DnsForwarder dns_{host_, *this, [this] { return random_ = random_ * 5 + 3; }, 0};
  Time now_{1000s};
};

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size > 8192) return 0;
  fuzz::Input in(Bytes{data, size});
  fuzz::Services all(in);
  while (!in.empty()) all.step();
  all.finish();
  return 0;
}
