// The records of a DNS message (RFC 1035 section 4.1.3), and where an answer says that a name leads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"
#include "wire/dns.hh"

namespace sf::wire {

namespace dns_type {
inline constexpr std::uint16_t kA = 1, kCname = 5, kAaaa = 28, kSvcb = 64, kHttps = 65;
}
namespace svc_param {  // RFC 9460 section 14.3.2
inline constexpr std::uint16_t kIpv4Hint = 4, kEch = 5, kIpv6Hint = 6;
}

struct DnsRecord {
  std::string owner;
  std::uint16_t type = 0;
  std::uint16_t dns_class = 0;
  std::uint32_t ttl = 0;  // seconds
  Bytes data;
  std::size_t data_at = 0;  // offset of `data` in the message, for names within it
};

// Goes through the records one after the other, whatever section they are in.
class DnsRecordReader {
 public:
  // `at`: where the first record begins, DnsMessage::question_end.
  DnsRecordReader(Bytes message, std::size_t at) : message_(message), at_(at) {}
  // Absent at the end, and where there is no record but something else: nothing behind that can be read.
  [[nodiscard]] std::optional<DnsRecord> next();

 private:
  Bytes message_;
  std::size_t at_;
};

struct DnsAddress {
  Address address;
  std::uint32_t ttl = 0;  // the least on the way to it
};

struct DnsAnswer {
  DnsQuestion question;
  std::vector<DnsAddress> addresses;  // of A, AAAA, and hints of HTTPS and SVCB, for the question's name
  bool has_ech = false;  // some HTTPS or SVCB record has keys that would hide server names (RFC 9849)
};

inline constexpr std::size_t kMaxCnames = 16;
inline constexpr std::size_t kMaxDnsRecords = 65535 / 11;  // a message has no more

// Follows the CNAMEs of the answer section from the question's name on. Absent where `message` is not a
// response with one question.
[[nodiscard]] std::optional<DnsAnswer> read_dns_answer(Bytes message);

}  // namespace sf::wire
