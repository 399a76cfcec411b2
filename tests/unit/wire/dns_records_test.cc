#include "wire/dns_records.hh"

#include <gtest/gtest.h>

#include <vector>

namespace sf::wire {
namespace {

class Message {
 public:
  explicit Message(std::string_view name, std::uint16_t type = dns_type::kA) {
    DnsHeader header;
    header.response = true;
    header.questions = 1;
    header.emit(out_);
    DnsQuestion{std::string(name), type, 1}.emit(out_);
  }
  Message& record(std::string_view owner, std::uint16_t type, std::uint32_t ttl,
                  const std::vector<std::uint8_t>& data) {
    ++answers_;
    write_dns_name(out_, owner);
    out_.u16(type);
    out_.u16(1);
    out_.u32(ttl);
    out_.u16(static_cast<std::uint16_t>(data.size()));
    out_.bytes(data);
    return *this;
  }
  Message& cname(std::string_view owner, std::string_view target, std::uint32_t ttl) {
    return record(owner, dns_type::kCname, ttl, name_bytes(target));
  }
  Message& a(std::string_view owner, std::uint32_t ttl, std::uint8_t last) {
    return record(owner, dns_type::kA, ttl, {192, 0, 2, last});
  }
  static std::vector<std::uint8_t> name_bytes(std::string_view name) {
    std::vector<std::uint8_t> bytes(256);
    Writer out(bytes);
    write_dns_name(out, name);
    bytes.resize(out.offset());
    return bytes;
  }
  Bytes bytes() {
    store_be16(&buffer_[6], answers_);
    return out_.written();
  }
  DnsAnswer read() { return read_dns_answer(bytes()).value(); }

 private:
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(65535);
  Writer out_{buffer_};
  std::uint16_t answers_ = 0;
};

TEST(DnsAnswer, FollowsAliasesInAnyOrder) {
  const DnsAnswer answer = Message("a.test")
                               .a("c.test", 300, 1)
                               .cname("B.test", "c.test", 20)
                               .cname("a.test", "b.TEST", 100)
                               .a("other.test", 300, 2)
                               .a("C.test", 10, 3)
                               .read();
  ASSERT_EQ(answer.addresses.size(), 2U);
  EXPECT_EQ(answer.addresses[0].address, Address::v4(192, 0, 2, 1));
  EXPECT_EQ(answer.addresses[0].ttl, 20U);
  EXPECT_EQ(answer.addresses[1].address, Address::v4(192, 0, 2, 3));
  EXPECT_EQ(answer.addresses[1].ttl, 10U);
}

TEST(DnsAnswer, AliasLoopsEnd) {
  EXPECT_TRUE(
      Message("a.test").cname("a.test", "b.test", 1).cname("b.test", "a.test", 1).read().addresses.empty());
  EXPECT_TRUE(Message("a.test").cname("a.test", "a.test", 1).read().addresses.empty());
}

TEST(DnsAnswer, TakesHintsAndSeesKeys) {
  std::vector<std::uint8_t> data{0, 1, 0};
  const std::vector<std::uint8_t> hints{0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2};
  const std::vector<std::uint8_t> ech{0, 5, 0, 1, 9};
  std::vector<std::uint8_t> hint6{0, 6, 0, 16};
  hint6.resize(20, 7);
  data.insert(data.end(), hints.begin(), hints.end());
  auto with_ech = data;
  with_ech.insert(with_ech.end(), ech.begin(), ech.end());
  for (auto* each : {&data, &with_ech}) each->insert(each->end(), hint6.begin(), hint6.end());
  const DnsAnswer plain =
      Message("a.test", dns_type::kHttps).record("a.test", dns_type::kHttps, 60, data).read();
  ASSERT_EQ(plain.addresses.size(), 3U);
  EXPECT_EQ(plain.addresses[1].address, Address::v4(192, 0, 2, 2));
  EXPECT_TRUE(plain.addresses[2].address.is_v6());
  EXPECT_FALSE(plain.has_ech);
  EXPECT_TRUE(Message("a.test").record("a.test", dns_type::kHttps, 60, with_ech).read().has_ech);
  EXPECT_TRUE(Message("a.test").record("b.test", dns_type::kSvcb, 60, with_ech).read().has_ech)
      << "somebody else's";
}

TEST(DnsAnswer, NothingHidesBehindThousandsOfRecords) {
  Message message("a.test");
  for (int i = 0; i < 5900; ++i) message.record(".", dns_type::kA, 60, {});
  EXPECT_FALSE(message.read().has_ech);
  EXPECT_TRUE(message.record(".", dns_type::kHttps, 60, {0, 1, 0, 0, 5, 0, 1, 9}).read().has_ech);
}

TEST(DnsAnswer, AnyBytesAreTaken) {
  Message message("a.test");
  message.cname("a.test", "b.test", 1)
      .record("b.test", dns_type::kHttps, 1, {0, 1, 0, 0, 4, 0, 4, 1, 2, 3, 4})
      .a("b.test", 1, 1);
  const std::vector<std::uint8_t> whole(message.bytes().begin(), message.bytes().end());
  for (std::size_t length = 0; length < whole.size(); ++length)
    (void)read_dns_answer(Bytes(whole).first(length));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      auto changed = whole;
      changed[at] = static_cast<std::uint8_t>(value);
      (void)read_dns_answer(changed);
    }
  }
}

}  // namespace
}  // namespace sf::wire
