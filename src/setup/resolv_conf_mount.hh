// /etc/resolv.conf inside: the DNS forwarder's addresses, and what the host's file says beside its name
// servers. The host's file is never touched, and nothing is created on the host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::setup {

// The host's text (empty where there is none) with its name servers replaced; search, domain, options and
// sortlist lines stay (resolv.conf(5)).
[[nodiscard]] std::string resolv_conf_text(std::string_view host_text, const std::vector<Address>& servers);

// Makes `path` (/etc/resolv.conf) read `text` in the mount namespace of the calling process, which has to be
// its own. Needs CAP_SYS_ADMIN in it. To be called again after the file was replaced from outside: see
// needs_mount().
[[nodiscard]] Result<void> mount_resolv_conf(const std::string& path, const std::string& text);

// True where `path` does not read `text` (any more). A file that is renamed over `path` outside, as network
// managers do, takes our mount with it.
[[nodiscard]] bool needs_mount(const std::string& path, const std::string& text);

}  // namespace sf::setup
