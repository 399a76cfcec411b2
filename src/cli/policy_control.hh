// The egress policy of this process: made from the options, changed at run time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"
#include "cli/policy_items.hh"
#include "control/policy_report.hh"
#include "policy/gate.hh"

namespace sf::cli {

class PolicyControl {
 public:
  using ReadFile = std::function<Result<std::string>()>;

  // `read` is called where the options name a file. `options` and `log` outlive this.
  PolicyControl(const PolicyOptions& options, ReadFile read, std::vector<policy::LoopbackAlias> aliases,
                SipKey key, const Log& log)
      : options_(options), read_(std::move(read)), aliases_(std::move(aliases)), gate_(nullptr, key, log) {}

  // Nothing may change at run time: whoever runs inside as the same user could do it, or write the file.
  [[nodiscard]] bool sealed() const { return options_.sealed; }
  // What the options say, with the file as it is now; all changes at run time are gone. After an Error all is
  // as it was.
  [[nodiscard]] Result<void> load();
  // The same at run time.
  [[nodiscard]] Result<void> reload();
  // The content of a policy file instead of everything.
  [[nodiscard]] Result<void> set(const std::string& name, const std::string& text);
  // Before all others.
  [[nodiscard]] Result<void> insert(policy::Action action, std::string_view text);
  [[nodiscard]] control::PolicyReport report() const;

  [[nodiscard]] policy::Gate& gate() { return gate_; }

 private:
  [[nodiscard]] Result<void> changeable() const;

  const PolicyOptions& options_;
  ReadFile read_;
  std::vector<policy::LoopbackAlias> aliases_;
  policy::Gate gate_;
};

}  // namespace sf::cli
