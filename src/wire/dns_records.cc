#include "wire/dns_records.hh"

#include <algorithm>

namespace sf::wire {
namespace {

constexpr std::uint16_t kInternet = 1;
constexpr std::uint32_t kMaxTtl = 0x7fffffff;  // RFC 2181 section 8: anything above means 0

std::optional<Address> address_from(Bytes data) {
  Reader in(data);
  if (data.size() == 4) return Address::v4(in.u32());
  if (data.size() == Address::kSize) return Address::v6(in.array<Address::kSize>());
  return std::nullopt;
}

void add_address(Bytes data, std::uint32_t ttl, DnsAnswer& out) {
  if (const auto address = address_from(data)) out.addresses.push_back({*address, ttl});
}

// SvcPriority, TargetName, and parameters of which each has a key and a length (RFC 9460 section 2.2).
void read_service(Bytes message, const DnsRecord& record, std::uint32_t ttl, DnsAnswer& out) {
  std::size_t at = record.data_at + 2;
  const Bytes upto = take(message, record.data_at + record.data.size());
  if (!read_dns_name(upto, at, kDnsHeaderSize)) return;
  Reader in(drop(upto, at));
  while (in.remaining() > 0) {
    const std::uint16_t key = in.u16();
    Bytes value = in.bytes(in.u16());
    if (!in.ok()) return;
    if (key == svc_param::kEch) out.has_ech = true;
    const std::size_t step = key == svc_param::kIpv4Hint   ? 4
                             : key == svc_param::kIpv6Hint ? Address::kSize
                                                           : 0;
    if (step == 0) continue;
    for (; value.size() >= step; value = drop(value, step)) add_address(take(value, step), ttl, out);
  }
}

}  // namespace

std::optional<DnsRecord> DnsRecordReader::next() {
  DnsRecord record;
  auto owner = read_dns_name(message_, at_, kDnsHeaderSize);
  if (!owner) return std::nullopt;
  record.owner = std::move(*owner);
  Reader in(drop(message_, at_));
  record.type = in.u16();
  record.dns_class = in.u16();
  record.ttl = in.u32();
  if (record.ttl > kMaxTtl) record.ttl = 0;
  const std::uint16_t length = in.u16();
  record.data_at = at_ + in.offset();
  record.data = in.bytes(length);
  if (!in.ok()) return std::nullopt;
  at_ = record.data_at + length;
  return record;
}

std::optional<DnsAnswer> read_dns_answer(Bytes message) {
  auto parsed = DnsMessage::parse(message);
  if (!parsed || !parsed->header.response) return std::nullopt;
  std::vector<DnsRecord> records;
  DnsRecordReader reader(message, parsed->question_end);
  DnsAnswer out;
  const std::size_t all =
      std::size_t{parsed->header.answers} + parsed->header.authorities + parsed->header.additionals;
  for (std::size_t i = 0; i < std::min(all, kMaxDnsRecords); ++i) {
    auto record = reader.next();
    if (!record) break;
    if (record->dns_class != kInternet) continue;
    const bool service = record->type == dns_type::kHttps || record->type == dns_type::kSvcb;
    if (i < parsed->header.answers) {
      records.push_back(std::move(*record));
    } else if (service) {
      // Clients may take the additional section's: nothing is learnt from it, and nothing may hide in it.
      DnsAnswer unused;
      read_service(message, *record, 0, unused);
      out.has_ech = out.has_ech || unused.has_ech;
    }
  }
  std::string name = parsed->question.name;
  std::uint32_t ttl = kMaxTtl;
  for (std::size_t hop = 0; hop <= kMaxCnames; ++hop) {
    const auto cname = std::ranges::find_if(records, [&](const DnsRecord& record) {
      return record.type == dns_type::kCname && same_dns_name(record.owner, name);
    });
    if (cname == records.end()) break;
    std::size_t at = cname->data_at;
    const auto target = read_dns_name(take(message, cname->data_at + cname->data.size()), at, kDnsHeaderSize);
    if (!target) break;
    name = *target;
    ttl = std::min(ttl, cname->ttl);
    cname->type = 0;  // each of them once, so that none can loop
  }
  for (const DnsRecord& record : records) {
    const bool service = record.type == dns_type::kHttps || record.type == dns_type::kSvcb;
    if (!same_dns_name(record.owner, name)) {
      DnsAnswer unused;
      if (service) read_service(message, record, 0, unused);
      out.has_ech = out.has_ech || unused.has_ech;
      continue;
    }
    const std::uint32_t least = std::min(ttl, record.ttl);
    if ((record.type == dns_type::kA && record.data.size() == 4) ||
        (record.type == dns_type::kAaaa && record.data.size() == Address::kSize)) {
      add_address(record.data, least, out);
    } else if (service) {
      read_service(message, record, least, out);
    }
  }
  out.question = std::move(parsed->question);
  return out;
}

}  // namespace sf::wire
