#include "base/unique_fd.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sf {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}
int some_fd() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

TEST(UniqueFd, ClosesAtTheEnd) {
  const int fd = some_fd();
  ASSERT_GE(fd, 0);
  {
    const UniqueFd owner(fd);
    EXPECT_TRUE(owner);
    EXPECT_EQ(owner.get(), fd);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, MovesAndReleases) {
  UniqueFd first(some_fd());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  EXPECT_EQ(second.get(), fd);
  const int old = some_fd();
  UniqueFd third(old);
  third = std::move(second);
  EXPECT_FALSE(is_open(old)) << "what it held before is closed";
  EXPECT_TRUE(is_open(fd));
  UniqueFd& self = third;
  third = std::move(self);
  EXPECT_TRUE(is_open(fd));
  EXPECT_EQ(third.release(), fd);
  EXPECT_FALSE(third);
  EXPECT_TRUE(is_open(fd));
  third.reset(fd);
  third.reset();
  EXPECT_FALSE(is_open(fd));
  EXPECT_FALSE(UniqueFd());
}

}  // namespace
}  // namespace sf
