#include "setup/reread_file.hh"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace sf::setup {
namespace {

class RereadFileTest : public testing::Test {
 protected:
  RereadFileTest() { std::filesystem::create_directory(folder_); }
  ~RereadFileTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  void replace(const std::string& text) const {
    write("new", text);
    std::filesystem::rename(folder_ + "/new", folder_ + "/file");
  }

  const std::string folder_ = testing::TempDir() + "reread_file_" + std::to_string(::getpid());
};

TEST_F(RereadFileTest, FollowsTheName) {
  write("file", "one");
  const auto file = RereadFile::open(folder_ + "/file");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->read(100), "one");
  write("file", "longer");
  EXPECT_EQ(file->read(100), "longer");
  replace("another");
  EXPECT_EQ(file->read(100), "another");
  EXPECT_FALSE(file->read(3));
  std::filesystem::remove(folder_ + "/file");
  EXPECT_FALSE(file->read(100));
}

TEST_F(RereadFileTest, StaysWithTheFileOnceHeld) {
  write("file", "one");
  auto file = RereadFile::open(folder_ + "/file");
  ASSERT_TRUE(file && file->hold());
  EXPECT_EQ(file->read(100), "one");
  EXPECT_EQ(file->read(100), "one");
  write("file", "two");
  EXPECT_EQ(file->read(100), "two");
  replace("another");
  const auto gone = file->read(100);
  ASSERT_FALSE(gone) << "what nobody sees any more is not taken for the file";
  EXPECT_THAT(gone.error().message, testing::HasSubstr("another file is in its place"));
}

TEST_F(RereadFileTest, WaitsForNobody) {
  ASSERT_EQ(::mkfifo((folder_ + "/file").c_str(), 0600), 0);
  const auto file = RereadFile::open(folder_ + "/file");
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->read(100));
  EXPECT_FALSE(RereadFile::open(folder_ + "/nowhere/file"));
}

}  // namespace
}  // namespace sf::setup
