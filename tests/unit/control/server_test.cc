// What a well-behaved client sees, and the socket file.
#include "control/server.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "control/requests.hh"
#include "unit/control/control_fixture.hh"

namespace sf::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using ControlServer = ServerFixture;

std::string refusal(const std::string& path, const ServerOptions& options = {}) {
  FakeInstance instance;
  const auto server = Server::open(path, instance, options);
  const std::string message = server ? "it listens" : server.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

TEST_F(ControlServer, answers_when_writing_is_shut_down) {
  EXPECT_EQ(ask(kRequest), kReply);
  EXPECT_EQ(ask(std::string(kRequest) + "\n"), kReply);
  EXPECT_EQ(ask(""), error_reply("cannot parse JSON"));
  EXPECT_EQ(ask(R"({"execute":)"), error_reply("cannot parse JSON"));
  EXPECT_FALSE(ready());
}

TEST_F(ControlServer, answers_a_complete_object_and_closes) {
  RawClient client(path);
  client.send(kRequest);
  turns();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(client.reset());
  EXPECT_EQ(client.reply(), kReply);
}

TEST_F(ControlServer, answers_a_line_that_is_no_object) {
  RawClient client(path);
  client.send("help\n");
  turns();
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(client.reply(), error_reply("cannot parse JSON"));
}

TEST_F(ControlServer, one_request_per_connection) {
  RawClient client(path);
  client.send(std::string(kRequest) + kRequest + std::string(100000, ' '));
  turns();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(client.reset());
  EXPECT_EQ(client.reply(), kReply);
}

TEST_F(ControlServer, a_request_in_any_number_of_pieces) {
  for (const std::size_t size : {1U, 2U, 7U, 20U}) {
    RawClient client(path);
    const std::string text = kRequest;
    for (std::size_t at = 0; at < text.size(); at += size) {
      EXPECT_FALSE(client.closed());
      client.send(text.substr(at, size));
      turns();
    }
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(client.reply(), kReply);
  }
}

TEST_F(ControlServer, changes_reach_the_instance) {
  EXPECT_EQ(ask(R"({"execute":"add_hostfwd","arguments":{"proto":"tcp","host_port":80,"guest_port":80}})"),
            R"({"return":{"id":1}})");
  EXPECT_EQ(instance.ports.size(), 1U);
}

TEST_F(ControlServer, the_file_is_private_whatever_the_umask) {
  for (const mode_t mask : {0U, 022U, 077U}) {
    const mode_t before = ::umask(mask);
    start({});
    ::umask(before);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFSOCK | 0600)) << mask;
  }
}

TEST_F(ControlServer, the_file_goes_with_the_server) {
  EXPECT_TRUE(std::filesystem::exists(path));
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ControlServer, the_file_goes_even_where_its_folder_was_moved) {
  const std::string inner = folder / "inner";
  std::filesystem::create_directory(inner);
  path = inner + "/s";
  start({});
  std::filesystem::rename(inner, folder / "moved");
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(folder / "moved/s"));
}

TEST_F(ControlServer, anothers_file_stays) {
  std::filesystem::remove(path);
  FakeInstance other;
  auto second = Server::open(path, other);
  ASSERT_TRUE(second.has_value());
  server.reset();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(ControlServer, an_old_socket_is_replaced) {
  const std::string stale = folder / "stale";
  sockaddr_un address;
  ASSERT_TRUE(make_address(stale, address));
  for (const bool keep : {false, true}) {
    UniqueFd old(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(old.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    old.reset();
    path = stale;
    start({.keep_answering = keep});
    EXPECT_EQ(ask(kRequest), kReply);
    server.reset();
  }
}

TEST_F(ControlServer, one_that_answers_is_replaced_only_where_that_is_wanted) {
  EXPECT_THAT(refusal(path, {.keep_answering = true}), HasSubstr("another program does already"));
  turns();
  EXPECT_EQ(ask(kRequest), kReply);
  EXPECT_EQ(refusal(path), "it listens");
}

TEST_F(ControlServer, another_file_stays_and_is_named) {
  const std::string file = folder / "file";
  std::ofstream(file) << "precious";
  EXPECT_THAT(refusal(file), HasSubstr("not a socket"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("not a socket"));
  std::filesystem::create_symlink(path, folder / "link");
  EXPECT_THAT(refusal(folder / "link"), HasSubstr("not a socket"));
  EXPECT_EQ(std::filesystem::file_size(file), 8U);
}

TEST_F(ControlServer, paths_have_a_longest_one) {
  const std::string longest = folder / std::string(107 - folder.path().size() - 1, 'x');
  EXPECT_EQ(refusal(longest), "it listens");
  EXPECT_THAT(refusal(longest + "x"), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal(""), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal(path + std::string(1, '\0')), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal(folder / "absent/s"), HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace sf::control
