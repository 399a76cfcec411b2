#include "wire/dhcp.hh"

#include <algorithm>
#include <map>
#include <utility>

#include "wire/dns.hh"

namespace sf::wire {
namespace {

using namespace dhcp_option;

constexpr std::uint8_t kPad = 0;
constexpr std::uint8_t kEnd = 255;
constexpr std::uint32_t kMagicCookie = 0x63825363;
constexpr std::uint8_t kHardwareEthernet = 1;
constexpr std::uint8_t kMacSize = 6;
constexpr std::size_t kServerNameSize = 64;
constexpr std::size_t kFileSize = 128;
constexpr std::uint16_t kBroadcastBit = 0x8000;

using Options = std::map<std::uint8_t, std::vector<std::uint8_t>>;

// Adds the options of one field to `options`; parts of one option are joined (RFC 3396 section 7). False
// where one runs past the field. An end is not insisted on.
bool collect(Bytes field, Options& options) {
  Reader in(field);
  while (in.remaining() > 0) {
    const std::uint8_t code = in.u8();
    if (code == kPad) continue;
    if (code == kEnd) return true;
    const Bytes body = in.bytes(in.u8());
    if (!in.ok()) return false;
    auto& value = options[code];
    value.insert(value.end(), body.begin(), body.end());
  }
  return true;
}

// The options of a message in the order that RFC 3396 section 5 gives: options, file, sname.
std::optional<Options> collect_all(Bytes field, Bytes file, Bytes server_name) {
  Options options;
  if (!collect(field, options)) return std::nullopt;
  const auto overload = options.find(kOverload);
  if (overload == options.end()) return options;
  if (overload->second.size() != 1) return std::nullopt;
  const unsigned fields = overload->second[0];
  if (fields < 1 || fields > 3) return std::nullopt;
  if ((fields & 1) != 0 && !collect(file, options)) return std::nullopt;
  if ((fields & 2) != 0 && !collect(server_name, options)) return std::nullopt;
  return options;
}

bool read_address(Bytes value, std::optional<Address>& out) {
  if (value.size() != 4) return false;
  out = Address::v4(load_be32(value.data()));
  return true;
}

bool read_addresses(Bytes value, std::vector<Address>& out) {
  if (value.empty() || value.size() % 4 != 0) return false;
  for (std::size_t at = 0; at < value.size(); at += 4) out.push_back(Address::v4(load_be32(&value[at])));
  return true;
}

bool read_seconds(Bytes value, std::optional<std::chrono::seconds>& out) {
  if (value.size() != 4) return false;
  out = std::chrono::seconds{load_be32(value.data())};
  return true;
}

bool read_u16(Bytes value, std::optional<std::uint16_t>& out) {
  if (value.size() != 2) return false;
  out = load_be16(value.data());
  return true;
}

// Some clients end strings with a NUL, which is not part of them (RFC 2132 section 2).
bool read_text(Bytes value, std::string& out) {
  out.assign(value.begin(), value.end());
  while (!out.empty() && out.back() == '\0') out.pop_back();
  return true;
}

bool read_list(Bytes value, std::vector<std::uint8_t>& out) {
  out.assign(value.begin(), value.end());
  return true;
}

// RFC 3397 section 2: pointers count from the start of the joined option.
bool read_domains(Bytes value, std::vector<std::string>& out) {
  for (std::size_t at = 0; at < value.size();) {
    auto name = read_dns_name(value, at, 0);
    if (!name) return false;
    out.push_back(std::move(*name));
  }
  return true;
}

bool read_option(DhcpMessage& out, std::uint8_t code, Bytes value) {
  switch (code) {
    case kMessageType:
      if (value.size() != 1) return false;
      out.type = static_cast<DhcpType>(value[0]);
      return true;
    case kSubnetMask:
      return read_address(value, out.subnet_mask);
    case kRouter:
      return read_addresses(value, out.routers);
    case kDns:
      return read_addresses(value, out.dns_servers);
    case kHostName:
      return read_text(value, out.host_name);
    case kDomainName:
      return read_text(value, out.domain_name);
    case kMtu:
      return read_u16(value, out.mtu);
    case kBroadcast:
      return read_address(value, out.broadcast);
    case kRequestedAddress:
      return read_address(value, out.requested_address);
    case kLeaseTime:
      return read_seconds(value, out.lease_time);
    case kServerId:
      return read_address(value, out.server_id);
    case kParameterList:
      return read_list(value, out.parameters);
    case kMessage:
      return read_text(value, out.message);
    case kMaxMessageSize:
      return read_u16(value, out.max_message_size);
    case kRenewalTime:
      return read_seconds(value, out.renewal_time);
    case kRebindingTime:
      return read_seconds(value, out.rebinding_time);
    case kClientId:
      return read_list(value, out.client_id);
    case kDomainSearch:
      return read_domains(value, out.domain_search);
    default:
      return true;
  }
}

// Cuts what does not fit one option into several (RFC 3396 section 6). An empty value is left out.
void write_option(Writer& out, std::uint8_t code, Bytes value) {
  while (!value.empty()) {
    const Bytes part = take(value, 255);
    out.u8(code);
    out.u8(static_cast<std::uint8_t>(part.size()));
    out.bytes(part);
    value = drop(value, part.size());
  }
}

void write_text(Writer& out, std::uint8_t code, const std::string& text) {
  write_option(out, code, std::vector<std::uint8_t>(text.begin(), text.end()));
}

void write_u16(Writer& out, std::uint8_t code, const std::optional<std::uint16_t>& value) {
  if (!value) return;
  std::array<std::uint8_t, 2> bytes{};
  store_be16(bytes.data(), *value);
  write_option(out, code, bytes);
}

void write_seconds(Writer& out, std::uint8_t code, const std::optional<std::chrono::seconds>& value) {
  if (!value) return;
  std::array<std::uint8_t, 4> bytes{};
  const auto count = std::clamp<std::chrono::seconds::rep>(value->count(), 0, 0xffffffff);
  store_be32(bytes.data(), static_cast<std::uint32_t>(count));
  write_option(out, code, bytes);
}

void write_address(Writer& out, std::uint8_t code, const std::optional<Address>& value) {
  if (!value) return;
  if (!value->is_v4()) return out.fail();
  write_option(out, code, value->wire_bytes());
}

void write_addresses(Writer& out, std::uint8_t code, const std::vector<Address>& value) {
  std::vector<std::uint8_t> bytes;
  for (const Address& address : value) {
    if (!address.is_v4()) return out.fail();
    bytes.insert(bytes.end(), address.wire_bytes().begin(), address.wire_bytes().end());
  }
  write_option(out, code, bytes);
}

void write_domains(Writer& out, const std::vector<std::string>& domains) {
  std::vector<std::uint8_t> bytes(domains.size() * kMaxDnsName);
  Writer names(bytes);
  for (const std::string& domain : domains) write_dns_name(names, domain);
  if (!names.ok()) return out.fail();
  write_option(out, kDomainSearch, names.written());
}

void write_options(const DhcpMessage& m, Writer& out) {
  // RFC 2131 section 3 has clients look for the message type first of all.
  if (m.type) write_option(out, kMessageType, std::array{static_cast<std::uint8_t>(*m.type)});
  write_address(out, kServerId, m.server_id);
  write_seconds(out, kLeaseTime, m.lease_time);
  write_seconds(out, kRenewalTime, m.renewal_time);
  write_seconds(out, kRebindingTime, m.rebinding_time);
  // RFC 2132 section 3.3: the mask stands before the routers.
  write_address(out, kSubnetMask, m.subnet_mask);
  write_addresses(out, kRouter, m.routers);
  write_addresses(out, kDns, m.dns_servers);
  write_text(out, kHostName, m.host_name);
  write_text(out, kDomainName, m.domain_name);
  write_u16(out, kMtu, m.mtu);
  write_address(out, kBroadcast, m.broadcast);
  write_address(out, kRequestedAddress, m.requested_address);
  write_u16(out, kMaxMessageSize, m.max_message_size);
  write_option(out, kClientId, m.client_id);
  write_option(out, kParameterList, m.parameters);
  write_text(out, kMessage, m.message);
  write_domains(out, m.domain_search);
  out.u8(kEnd);
}

}  // namespace

std::optional<DhcpMessage> DhcpMessage::parse(Bytes bytes) {
  Reader in(bytes);
  DhcpMessage out;
  out.operation = in.u8();
  const std::uint8_t hardware_type = in.u8();
  const std::uint8_t hardware_size = in.u8();
  out.hops = in.u8();
  out.transaction = in.u32();
  out.seconds = in.u16();
  out.broadcast_flag = (in.u16() & kBroadcastBit) != 0;
  out.client = Address::v4(in.u32());
  out.yours = Address::v4(in.u32());
  out.server = Address::v4(in.u32());
  out.gateway = Address::v4(in.u32());
  out.hardware.bytes = in.array<kMacSize>();
  in.skip(16 - kMacSize);
  const Bytes server_name = in.bytes(kServerNameSize);
  const Bytes file = in.bytes(kFileSize);
  const std::uint32_t cookie = in.u32();
  if (!in.ok() || cookie != kMagicCookie) return std::nullopt;
  if (hardware_type != kHardwareEthernet || hardware_size != kMacSize) return std::nullopt;
  const auto options = collect_all(in.rest(), file, server_name);
  if (!options) return std::nullopt;
  for (const auto& [code, value] : *options) {
    if (!read_option(out, code, value)) return std::nullopt;
  }
  return out;
}

void DhcpMessage::emit(Writer& out) const {
  const std::size_t start = out.offset();
  for (const Address& address : {client, yours, server, gateway}) {
    if (!address.is_v4()) return out.fail();
  }
  out.u8(operation);
  out.u8(kHardwareEthernet);
  out.u8(kMacSize);
  out.u8(hops);
  out.u32(transaction);
  out.u16(seconds);
  out.u16(broadcast_flag ? kBroadcastBit : std::uint16_t{0});
  out.u32(client.to_v4());
  out.u32(yours.to_v4());
  out.u32(server.to_v4());
  out.u32(gateway.to_v4());
  out.bytes(hardware.bytes);
  out.zeros(16 - kMacSize + kServerNameSize + kFileSize);
  out.u32(kMagicCookie);
  write_options(*this, out);
  const std::size_t size = out.offset() - start;
  if (size < kDhcpMinSize) out.zeros(kDhcpMinSize - size);
}

}  // namespace sf::wire
