// Where instances are found, and what an old one leaves behind.
#include "control/directory.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "unit/control/control_fixture.hh"

namespace sf::control {
namespace {

using ::testing::HasSubstr;

class Directory : public ::testing::Test {
 protected:
  std::unique_ptr<Server> serve(const std::string& name) {
    auto opened = Server::open(folder / name, instance);
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    return *std::move(opened);
  }
  // A socket file that nobody listens on.
  void leave(const std::string& name) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address;
    EXPECT_TRUE(make_address(folder / name, address));
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  std::vector<std::string> pids() const {
    std::vector<std::string> found;
    for (const FoundInstance& one : find_instances(folder.path())) {
      EXPECT_EQ(one.path, folder / (one.pid + ".sock"));
      found.push_back(one.pid);
    }
    return found;
  }
  // Of a process that was.
  static std::string ended_pid() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
    return std::to_string(pid);
  }

  TemporaryFolder folder;
  FakeInstance instance;
};

TEST_F(Directory, follows_the_environment) {
  EXPECT_EQ(instance_directory("/run/user/7"), "/run/user/7/slirp-forwarder");
  const std::string own = "/run/user/" + std::to_string(::getuid());
  const bool there = std::filesystem::is_directory(own);
  for (const auto& none : {std::optional<std::string>(), std::optional<std::string>("run"), {""}}) {
    EXPECT_EQ(instance_directory(none), there ? std::optional(own + "/slirp-forwarder") : std::nullopt);
  }
}

TEST_F(Directory, is_made_private) {
  const std::string made = folder / "made";
  struct stat status {};
  ASSERT_TRUE(make_instance_directory(made));
  ASSERT_EQ(::stat(made.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  ASSERT_EQ(::chmod(made.c_str(), 0755), 0);
  ASSERT_TRUE(make_instance_directory(made));
  ASSERT_EQ(::stat(made.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST_F(Directory, is_nothing_else) {
  std::ofstream(folder / "file") << "x";
  std::filesystem::create_directory_symlink("/", folder / "link");
  EXPECT_THAT(make_instance_directory(folder / "file").error().message,
              HasSubstr("remove what is in its place"));
  EXPECT_THAT(make_instance_directory(folder / "link").error().message,
              HasSubstr("remove what is in its place"));
  EXPECT_THAT(make_instance_directory(folder / "no/such").error().message, HasSubstr("No such file"));
}

TEST_F(Directory, lists_those_that_answer_by_number) {
  EXPECT_TRUE(pids().empty());
  EXPECT_TRUE(find_instances(folder / "none").empty());
  const auto servers = {serve("1000.sock"), serve("99.sock"), serve("200.sock")};
  for (const char* other : {"x.sock", "0.sock", "-1.sock", "07.sock", "1e3.sock", "7.sock.old", "7", ".sock",
                            "99999999999999999999.sock"}) {
    std::ofstream(folder / other) << "x";
  }
  EXPECT_EQ(pids(), (std::vector<std::string>{"99", "200", "1000"}));
}

TEST_F(Directory, what_an_old_one_left_is_removed) {
  const std::string old = ended_pid();
  leave(old + ".sock");
  leave("1.sock");   // its process is alive, and may be about to listen
  leave("x" + old);  // not ours
  std::ofstream(folder / (ended_pid() + ".sock")) << "no socket";
  EXPECT_TRUE(pids().empty());
  EXPECT_FALSE(std::filesystem::exists(folder / (old + ".sock")));
  EXPECT_TRUE(std::filesystem::exists(folder / "1.sock"));
  EXPECT_TRUE(std::filesystem::exists(folder / ("x" + old)));
}

}  // namespace
}  // namespace sf::control
