#include "host/resolvers.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/linux_resolvers.hh"

namespace sf::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const Endpoint kLocal{Address::v4(127, 0, 0, 1), 53};

std::vector<std::string> servers_of(std::string_view text) {
  std::vector<std::string> out;
  for (const Endpoint& server : parse_resolv_conf(text).servers) out.push_back(server.to_string());
  return out;
}

TEST(ResolvConfParser, ReadsServersInOrder) {
  EXPECT_THAT(servers_of("nameserver 192.0.2.1\nnameserver\t2001:db8::1  \nnameserver 127.0.0.53"),
              ElementsAre("192.0.2.1:53", "[2001:db8::1]:53", "127.0.0.53:53"));
}

TEST(ResolvConfParser, FallsBackToThisHost) {
  for (const std::string_view text :
       {"", "\n\n", "# nameserver 192.0.2.1", "nameserver", "nameserver bogus"}) {
    EXPECT_EQ(parse_resolv_conf(text).servers, std::vector{kLocal}) << text;
  }
}

TEST(ResolvConfParser, PassesOverWhatItCannotUse) {
  EXPECT_THAT(servers_of("; a comment\n"
                         "#nameserver 192.0.2.9\n"
                         " nameserver 192.0.2.8\n"  // the keyword has to begin the line
                         "nameservers 192.0.2.7\n"
                         "nameserver fe80::1%eth0\n"
                         "nameserver fe80::1\n"
                         "nameserver 192.0.2\n"
                         "nameserver 224.0.0.1\n"
                         "options ndots:5 edns0\n"
                         "nameserver 192.0.2.1 trailing words\r\n"
                         "nameserver 192.0.2.2#comment\n"),
              ElementsAre("192.0.2.1:53", "192.0.2.2:53"));
}

TEST(ResolvConfParser, TakesUnspecifiedForLoopback) {
  EXPECT_THAT(servers_of("nameserver 0.0.0.0\nnameserver ::\n"), ElementsAre("127.0.0.1:53", "[::1]:53"));
}

TEST(ResolvConfParser, HasLimits) {
  std::string text = "search";
  for (int i = 0; i < 20; ++i) text += " d" + std::to_string(i) + ".example";
  for (int i = 0; i < 20; ++i) text += "\nnameserver 192.0.2." + std::to_string(i + 1);
  const Resolvers resolvers = parse_resolv_conf(text);
  EXPECT_THAT(resolvers.servers, SizeIs(Resolvers::kMaxServers));
  EXPECT_THAT(resolvers.search, SizeIs(Resolvers::kMaxSearch));
  EXPECT_EQ(resolvers.search[0], "d0.example");
}

TEST(ResolvConfParser, LastSearchLineCounts) {
  EXPECT_THAT(parse_resolv_conf("search a.example b.example\ndomain c.example d.example").search,
              ElementsAre("c.example"));
  EXPECT_THAT(parse_resolv_conf("domain c.example\nsearch a.example\tb.example.\n").search,
              ElementsAre("a.example", "b.example"));
  EXPECT_THAT(parse_resolv_conf("search a.example\nsearch").search, IsEmpty());
}

TEST(ResolvConfParser, TakesNoMalformedNames) {
  const std::string long_label(64, 'a');
  std::string long_name = "a";
  while (long_name.size() <= 253) long_name += ".a";
  EXPECT_THAT(
      parse_resolv_conf("search . a..b .c " + long_label + ".example " + long_name + " ok\x01.example ok")
          .search,
      ElementsAre("ok"));
}

class ResolvConfFile : public testing::Test {
 protected:
  ResolvConfFile() {
    std::string name = testing::TempDir() + "resolv_XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ / "resolv.conf";
  }
  ~ResolvConfFile() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& text) const { std::ofstream(path_) << text; }
  static std::string first(const Resolvers& resolvers) { return resolvers.servers.at(0).address.to_string(); }

  std::filesystem::path directory_;
  std::filesystem::path path_;
  Time now_{1h};
};

TEST_F(ResolvConfFile, FollowsRewrites) {
  write("nameserver 192.0.2.1\n");
  ResolvConf conf(path_, {});
  EXPECT_EQ(first(conf.get(now_)), "192.0.2.1");
  write("nameserver 192.0.2.22\n");
  EXPECT_EQ(first(conf.get(now_ + 999ms)), "192.0.2.1");  // not looked at yet
  EXPECT_EQ(first(conf.get(now_ + 1s)), "192.0.2.22");
}

TEST_F(ResolvConfFile, FollowsReplacements) {
  // As resolvconf(8) and systemd-resolved do: a new file of the same size and age is moved into place, behind
  // a link.
  write("nameserver 192.0.2.1\n");
  const auto link = directory_ / "link";
  std::filesystem::create_symlink(path_, link);
  ResolvConf conf(link, {});
  EXPECT_EQ(first(conf.get(now_)), "192.0.2.1");
  const auto fresh = directory_ / "fresh";
  std::ofstream(fresh) << "nameserver 192.0.2.2\n";
  std::filesystem::last_write_time(fresh, std::filesystem::last_write_time(path_));
  std::filesystem::rename(fresh, path_);
  EXPECT_EQ(first(conf.get(now_ + 1s)), "192.0.2.2");
}

TEST_F(ResolvConfFile, KeepsTheLastListWithoutAFile) {
  write("nameserver 192.0.2.1\nsearch example\n");
  ResolvConf conf(path_, {});
  EXPECT_EQ(first(conf.get(now_)), "192.0.2.1");
  std::filesystem::remove(path_);
  EXPECT_EQ(first(conf.get(now_ + 1s)), "192.0.2.1");
  write("nameserver 192.0.2.3\n");
  EXPECT_EQ(first(conf.get(now_ + 2s)), "192.0.2.3");
  EXPECT_THAT(conf.get(now_ + 2s).search, IsEmpty());
}

TEST_F(ResolvConfFile, BeginsWithoutAFile) {
  ResolvConf conf(path_, {});
  EXPECT_EQ(conf.get(now_).servers, std::vector{kLocal});
  write("nameserver 192.0.2.1\n");
  EXPECT_EQ(first(conf.get(now_ + 1s)), "192.0.2.1");
}

TEST_F(ResolvConfFile, NeverWaitsForAPipe) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  ResolvConf conf(path_, {});
  EXPECT_EQ(conf.get(now_).servers, std::vector{kLocal});
}

TEST_F(ResolvConfFile, OverridesServersButNotTheSearchList) {
  write("nameserver 192.0.2.1\nsearch example\n");
  const Endpoint server{Address::v4(198, 51, 100, 1), 5353};
  ResolvConf conf(path_, {server});
  EXPECT_EQ(conf.get(now_).servers, std::vector{server});
  EXPECT_THAT(conf.get(now_).search, ElementsAre("example"));
}

}  // namespace
}  // namespace sf::host
