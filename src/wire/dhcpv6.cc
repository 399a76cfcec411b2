#include "wire/dhcpv6.hh"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/dns.hh"

namespace sf::wire {
namespace {

using namespace dhcpv6_option;

constexpr std::uint8_t kRelayForward = 12;
constexpr std::uint8_t kRelayReply = 13;
constexpr std::size_t kMaxDuid = 130;  // RFC 8415 section 11.1: two bytes of type and 128 more

// Yields each option of `in` to `option`, which returns false to reject the message.
template <typename OnOption>
bool read_options(Reader in, OnOption option) {
  while (in.remaining() > 0) {
    const std::uint16_t code = in.u16();
    const Bytes value = in.bytes(in.u16());
    if (!in.ok() || !option(code, value)) return false;
  }
  return true;
}

bool read_status(Bytes value, std::optional<Dhcpv6StatusCode>& out) {
  Reader in(value);
  const auto code = static_cast<Dhcpv6Status>(in.u16());
  if (!in.ok()) return false;
  out = Dhcpv6StatusCode{code, {in.rest().begin(), in.rest().end()}};
  return true;
}

bool read_association(std::uint16_t code, Bytes value, std::vector<IdentityAssociation>& out) {
  Reader in(value);
  IdentityAssociation association;
  association.option = code;
  association.id = in.u32();
  if (code != kIaTa) in.skip(8);  // T1 and T2
  if (!in.ok()) return false;
  const bool good = read_options(in, [&](std::uint16_t inner, Bytes body) {
    return inner != kStatusCode || read_status(body, association.status);
  });
  out.push_back(std::move(association));
  return good;
}

bool read_duid(Bytes value, std::vector<std::uint8_t>& out) {
  out.assign(value.begin(), value.end());
  return value.size() > 2 && value.size() <= kMaxDuid;
}

bool read_addresses(Bytes value, std::vector<Address>& out) {
  Reader in(value);
  while (in.remaining() >= Address::kSize) out.push_back(Address::v6(in.array<Address::kSize>()));
  return in.remaining() == 0;
}

bool read_domains(Bytes value, std::vector<std::string>& out) {
  for (std::size_t at = 0; at < value.size();) {
    // Never compressed (RFC 8415 section 10): no offset is allowed to a pointer.
    auto name = read_dns_name(value, at, value.size());
    if (!name) return false;
    out.push_back(std::move(*name));
  }
  return true;
}

bool read_requested(Bytes value, std::vector<std::uint16_t>& out) {
  Reader in(value);
  while (in.remaining() >= 2) out.push_back(in.u16());
  return in.remaining() == 0;
}

bool read_option(Dhcpv6Message& out, std::uint16_t code, Bytes value) {
  switch (code) {
    case kClientId:
      return read_duid(value, out.client_id);
    case kServerId:
      return read_duid(value, out.server_id);
    case kIaNa:
    case kIaTa:
    case kIaPd:
      return read_association(code, value, out.associations);
    case kOptionRequest:
      return read_requested(value, out.requested);
    case kElapsedTime:
      if (value.size() != 2) return false;
      out.elapsed_hundredths = load_be16(value.data());
      return true;
    case kStatusCode:
      return read_status(value, out.status);
    case kRapidCommit:
      out.rapid_commit = true;
      return value.empty();
    case kDnsServers:
      return read_addresses(value, out.dns_servers);
    case kDomainSearch:
      return read_domains(value, out.domain_search);
    case kInformationRefresh:
      if (value.size() != 4) return false;
      out.information_refresh = std::chrono::seconds{load_be32(value.data())};
      return true;
    default:
      return true;
  }
}

// An option whose length is known when its value has been written.
template <typename WriteValue>
void write_option(Writer& out, std::uint16_t code, WriteValue write_value) {
  out.u16(code);
  const std::size_t length_at = out.offset();
  out.u16(0);
  write_value();
  const std::size_t length = out.offset() - length_at - 2;
  if (!out.ok() || length > 0xffff) return out.fail();
  out.patch_u16(length_at, static_cast<std::uint16_t>(length));
}

void write_status(Writer& out, const Dhcpv6StatusCode& status) {
  write_option(out, kStatusCode, [&] {
    out.u16(static_cast<std::uint16_t>(status.code));
    for (const char c : status.message) out.u8(static_cast<std::uint8_t>(c));
  });
}

void write_association(Writer& out, const IdentityAssociation& association) {
  write_option(out, association.option, [&] {
    out.u32(association.id);
    if (association.option != kIaTa) out.u64(0);  // T1 and T2: for the client to choose
    if (association.status) write_status(out, *association.status);
  });
}

}  // namespace

std::optional<Dhcpv6Message> Dhcpv6Message::parse(Bytes bytes) {
  Reader in(bytes);
  const std::uint8_t type = in.u8();
  const std::uint32_t high = in.u8();
  const std::uint32_t low = in.u16();
  if (!in.ok() || type == kRelayForward || type == kRelayReply) return std::nullopt;
  Dhcpv6Message out;
  out.type = static_cast<Dhcpv6Type>(type);
  out.transaction = (high << 16) | low;
  const bool good =
      read_options(in, [&](std::uint16_t code, Bytes value) { return read_option(out, code, value); });
  return good ? std::optional{std::move(out)} : std::nullopt;
}

void Dhcpv6Message::emit(Writer& out) const {
  out.u8(static_cast<std::uint8_t>(type));
  out.u8(static_cast<std::uint8_t>(transaction >> 16));
  out.u16(static_cast<std::uint16_t>(transaction));
  if (!client_id.empty()) write_option(out, kClientId, [&] { out.bytes(client_id); });
  if (!server_id.empty()) write_option(out, kServerId, [&] { out.bytes(server_id); });
  for (const IdentityAssociation& association : associations) write_association(out, association);
  if (!requested.empty()) {
    write_option(out, kOptionRequest, [&] {
      for (const std::uint16_t option : requested) out.u16(option);
    });
  }
  if (elapsed_hundredths) write_option(out, kElapsedTime, [&] { out.u16(*elapsed_hundredths); });
  if (status) write_status(out, *status);
  if (rapid_commit) write_option(out, kRapidCommit, [] {});
  if (!dns_servers.empty()) {
    write_option(out, kDnsServers, [&] {
      for (const Address& server : dns_servers) out.bytes(server.bytes());
    });
  }
  if (!domain_search.empty()) {
    write_option(out, kDomainSearch, [&] {
      for (const std::string& domain : domain_search) write_dns_name(out, domain);
    });
  }
  if (information_refresh) {
    write_option(out, kInformationRefresh, [&] {
      const auto count = std::clamp<std::chrono::seconds::rep>(information_refresh->count(), 0, 0xffffffff);
      out.u32(static_cast<std::uint32_t>(count));
    });
  }
}

std::vector<std::uint8_t> duid_from(const MacAddress& mac) {
  const std::array<std::uint8_t, 4> kind{0, 3, 0, 1};  // DUID-LL, Ethernet
  std::vector<std::uint8_t> duid(kind.size() + mac.bytes.size());
  std::ranges::copy(mac.bytes, std::ranges::copy(kind, duid.begin()).out);
  return duid;
}

}  // namespace sf::wire
