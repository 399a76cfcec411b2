#include <gtest/gtest.h>

#include "setup/resolv_conf_mount.hh"

namespace sf::setup {
namespace {

const std::vector<Address> kServers{Address::v4(10, 0, 2, 3), *Address::parse("fd00::3")};

TEST(ResolvConf, name_servers_are_replaced_and_the_rest_kept) {
  EXPECT_EQ(resolv_conf_text(
                "# by hand\nnameserver 192.0.2.1\nsearch a.example b.example\nnameserver ::1\n"
                "options edns0 ndots:2\n\n; note\ndomain\tc.example\nsortlist 192.0.2.0\nlookup file\n",
                kServers),
            "nameserver 10.0.2.3\nnameserver fd00::3\nsearch a.example b.example\noptions edns0 ndots:2\n"
            "domain\tc.example\nsortlist 192.0.2.0\n");
}

TEST(ResolvConf, without_a_host_file_the_servers_are_all) {
  EXPECT_EQ(resolv_conf_text("", {kServers[0]}), "nameserver 10.0.2.3\n");
}

TEST(ResolvConf, odd_line_ends) {
  EXPECT_EQ(resolv_conf_text("search a.example\r\noptions b", {}), "search a.example\noptions b\n");
  EXPECT_EQ(resolv_conf_text("searching\n search x\nsearchx y", {}), "")
      << "a keyword is a whole word in column one";
}

}  // namespace
}  // namespace sf::setup
