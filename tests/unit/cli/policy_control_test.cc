// What may change a running instance's policy, and what stays after an error.
#include "cli/policy_control.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PolicyControlTest : public ::testing::Test {
 protected:
  PolicyControlTest() {
    options_.items.push_back({PolicyItem::Kind::rule, *policy::parse_rule(policy::Action::deny, "metadata")});
    options_.items.push_back({PolicyItem::Kind::file, {}});
    options_.file = "p.toml";
  }
  std::vector<std::string> rules() { return control_.report().rules; }
  static std::string why(const Result<void>& result) {
    return result ? "it was done" : result.error().message;
  }

  const Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  PolicyOptions options_;
  Result<std::string> file_ = "default = \"deny\"\nrules = [\"allow a.test\"]\ncheck-sni = true\n";
  PolicyControl control_{options_, [this] { return file_; }, {}, SipKey{1, 2}, log_};
};

TEST_F(PolicyControlTest, TheFileStandsInItsPlace) {
  ASSERT_EQ(why(control_.load()), "it was done");
  EXPECT_THAT(rules(), ElementsAre("deny metadata", "allow a.test", "deny all"));
  EXPECT_TRUE(control_.report().settings.check_sni);
  EXPECT_TRUE(control_.report().active);
}

TEST_F(PolicyControlTest, ChangesAndBack) {
  ASSERT_TRUE(control_.load());
  const auto before = control_.gate().generation();
  EXPECT_TRUE(control_.insert(policy::Action::allow, "b.test:80"));
  EXPECT_NE(control_.gate().generation(), before);
  EXPECT_THAT(rules(), ElementsAre("allow b.test:80", "deny metadata", "allow a.test", "deny all"));
  EXPECT_TRUE(control_.report().settings.check_sni) << "the settings stay";
  EXPECT_TRUE(control_.set("other.toml", "default = \"allow\"\nrules = [\"deny c.test\"]\n"));
  EXPECT_THAT(rules(), ElementsAre("deny c.test"));
  EXPECT_FALSE(control_.report().settings.check_sni) << "all of the file";
  file_ = "default = \"allow\"\nrules = []\n";
  EXPECT_TRUE(control_.reload());
  EXPECT_THAT(rules(), ElementsAre("deny metadata"));
}

TEST_F(PolicyControlTest, AfterAnErrorAllIsAsItWas) {
  ASSERT_TRUE(control_.load());
  const auto before = control_.gate().generation();
  EXPECT_THAT(why(control_.insert(policy::Action::deny, "b.test:x")), HasSubstr("deny 'b.test:x': column 8"));
  EXPECT_THAT(why(control_.set("other.toml", "default = 7\n")), HasSubstr("other.toml:1:11: "));
  file_ = "x";
  EXPECT_THAT(why(control_.reload()), HasSubstr("p.toml:1:"));
  file_ = fail("reading p.toml failed");
  EXPECT_EQ(why(control_.reload()), "reading p.toml failed");
  EXPECT_EQ(control_.gate().generation(), before);
  EXPECT_THAT(rules(), ElementsAre("deny metadata", "allow a.test", "deny all"));
}

TEST_F(PolicyControlTest, Sealed) {
  options_.sealed = true;
  ASSERT_TRUE(control_.load()) << "at the start";
  EXPECT_THAT(why(control_.insert(policy::Action::allow, "internet")), HasSubstr("--seal-policy"));
  EXPECT_THAT(why(control_.set("x", "default = \"allow\"\nrules = []\n")), HasSubstr("--seal-policy"));
  EXPECT_THAT(why(control_.reload()), HasSubstr("--seal-policy"));
  EXPECT_THAT(rules(), ElementsAre("deny metadata", "allow a.test", "deny all"));
}

}  // namespace
}  // namespace sf::cli
