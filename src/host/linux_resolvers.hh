// The host's name servers, following resolv.conf as it changes.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hh"
#include "host/resolvers.hh"

namespace sf::host {

class ResolvConf {
 public:
  // The file's text where it has changed since the last call.
  using Reader = std::function<std::optional<std::string>()>;

  // With `servers_override` not empty only the search list comes from the file. A `reader` looks at it in
  // place of this process, which may not see it (setup/keeper.hh).
  ResolvConf(std::string path, std::vector<Endpoint> servers_override, Reader reader = {});

  // Looks whether the file has changed at most once per second of `now`, and reads it again where it has.
  // While there is no file, as between the two steps of a careless rewrite, the last list that was read
  // stays; before there ever was one, it is that of an empty file.
  [[nodiscard]] const Resolvers& get(Time now);

 private:
  void refresh();
  void take(const std::string& text);

  std::string path_;
  Reader reader_;
  std::vector<Endpoint> servers_override_;
  Resolvers resolvers_;
  std::optional<struct ::stat> seen_;
  std::optional<Time> looked_;
};

}  // namespace sf::host
