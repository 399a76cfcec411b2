#include "cli/options.hh"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/help.hh"
#include "cli/option_checks.hh"
#include "cli/values.hh"
#include "control/publish_syntax.hh"

namespace sf::cli {
namespace {

// Adds an option with one value that `parse` (option, text) checks; given twice, the last one counts.
template <typename T, typename Parse>
void add_value(CLI::App& app, const std::string& name, const char* type, const char* help, T& destination,
               Parse parse) {
  app.add_option(
         name,
         [name, parse, &destination](const CLI::results_t& values) {
           auto value = parse(name, values.back());
           if (!value) throw CLI::ValidationError(value.error().message);
           destination = *std::move(value);
           return true;
         },
         help)
      ->type_name(type)
      ->expected(1)
      ->take_last();
}

void add_network_options(CLI::App& app, Config& config) {
  add_value(app, "--mtu", "BYTES", "MTU of the TAP, 1280 (576 without IPv6) to 65520 (1500)", config.mtu,
            [](auto option, auto text) { return parse_number(option, text, kMinMtu, kMaxMtu); });
  add_value(app, "--cidr", "NETWORK", "IPv4 network inside, up to /29 (10.0.2.0/24)", config.cidr,
            parse_cidr);
  add_value(app, "--cidr6", "NETWORK", "IPv6 network inside, a /64 (fd00::/64)", config.cidr6, parse_cidr6);
  app.add_flag_callback(
      "--no-ipv6", [&config] { config.ipv6 = false; }, "No IPv6 inside");
  add_value(app, "--mac", "MAC", "MAC address of the TAP (the kernel chooses one)", config.mac, parse_mac);
  add_value(app, "--tap-name", "NAME", "Name of the TAP (tap0)", config.tap_name, parse_interface);
  add_value(app, "--offload", "on|off", "Have the kernel segment and check (on); off is slow, for comparison",
            config.offload, [](auto option, auto text) -> Result<bool> {
              if (text == "on" || text == "off") return text == "on";
              return fail("{} '{}': must be on or off", option, text);
            });
  add_value(app, "--threads", "N",
            "Threads that move packets, 1 to 32 (1 with one or two CPUs, else up to 4)", config.threads,
            [](auto option, auto text) { return parse_number(option, text, 1, kMaxThreads); });
  app.add_flag("--host-loopback", config.host_loopback,
               "The gateway address leads to the host's 127.0.0.1 and ::1");
  app.add_flag("--metadata", config.metadata,
               "Clouds' metadata services (169.254.169.254, fd00:ec2::254) can be reached");
  add_value(app, "--outbound-addr", "IPV4", "Source address of what leaves the host over IPv4",
            config.outbound_address4, [](auto o, auto t) { return parse_address(o, t, Family::v4); });
  add_value(app, "--outbound-addr6", "IPV6", "Source address of what leaves the host over IPv6",
            config.outbound_address6, [](auto o, auto t) { return parse_address(o, t, Family::v6); });
  add_value(app, "--outbound-if", "NAME", "Interface by which all leaves the host", config.outbound_interface,
            parse_interface);
  app.add_option(
         "--dns",
         [&config](const CLI::results_t& values) {
           config.dns_servers.clear();
           for (const std::string& text : values) {
             auto server = parse_address("--dns", text, Family::any);
             if (!server) throw CLI::ValidationError(server.error().message);
             config.dns_servers.push_back(*server);
           }
           return true;
         },
         "Name server to ask instead of the host's; may be given again")
      ->type_name("ADDR")
      ->expected(1)
      ->take_all();
  app.add_flag_callback(
      "--no-dns", [&config] { config.dns = false; }, "No DNS forwarder");
}

void add_rules(const std::string& text, bool loopback, Config& config) {
  auto rules = control::parse_publish(text);
  if (!rules) throw CLI::ValidationError(rules.error().message);
  for (engine::PublishRule& rule : *rules) {
    rule.loopback = loopback;
    config.publish.push_back(rule);
  }
}

void add_way_in_options(CLI::App& app, Config& config) {
  app.add_option(
         "-p,--publish",
         [&config](const CLI::results_t& values) {
           for (const std::string& text : values) {
             if (text == "auto") {
               config.publish_auto = true;
             } else {
               add_rules(text, false, config);
             }
           }
           return true;
         },
         "Port of the host's that leads inside, or auto for all that listen inside; may be given again")
      ->type_name("[PROTO/][ADDR:]PORT[:PORT]")
      ->expected(1)
      ->take_all();
  app.add_option(
         "--publish-loopback",
         [&config](const CLI::results_t& values) {
           for (const std::string& text : values) add_rules(text, true, config);
           return true;
         },
         "The same, to what listens on 127.0.0.1 or ::1 inside")
      ->type_name("[PROTO/][ADDR:]PORT[:PORT]")
      ->expected(1)
      ->take_all();
  add_value(app, "--api-socket", "PATH", "Control socket; slirp4netns's protocol and more", config.api_socket,
            any_text);
  add_value(app, "--metrics", "[ADDR:]PORT|unix:PATH",
            "Serve metrics for Prometheus over HTTP there (on 127.0.0.1)", config.metrics,
            control::parse_metrics_address);
}

void add_policy_options(CLI::App& app, Config& config) {
  // In take_policy_order(), where the order among them is known.
  const auto check = [](const char* name, policy::Action action) {
    return [name, action](const CLI::results_t& values) {
      for (const std::string& text : values) {
        const auto rule = parse_rule_option(name, action, text);
        if (!rule) throw CLI::ValidationError(rule.error().message);
      }
      return true;
    };
  };
  constexpr const char* kRule = "[PROTO/]TARGET[:PORTS]";
  app.add_option("--allow", check("--allow", policy::Action::allow),
                 "What the guest may reach; first match wins")
      ->type_name(kRule)
      ->expected(1)
      ->take_all();
  app.add_option("--deny", check("--deny", policy::Action::deny), "What it may not reach")
      ->type_name(kRule)
      ->expected(1)
      ->take_all();
  app.add_flag_callback(
      "--deny-all", [] {}, "Refuse what no --allow before it names");
  add_value(app, "--policy", "FILE", "Rules in TOML, in this place; SIGHUP reads it again",
            config.policy.file, any_text);
  app.add_flag("--check-sni", config.policy.check_sni,
               "Server names in TLS (port 443) and HTTP (port 80) have to be allowed too");
  app.add_flag("--audit", config.policy.audit, "Log what would be refused, and let it pass");
  app.add_flag("--seal-policy", config.policy.sealed, "No change of the policy at run time, by nobody");
  add_value(app, "--dns-refusal", "HOW", "Names not allowed get nxdomain or refused (nxdomain)",
            config.policy.refuse_with_refused, [](auto option, auto text) -> Result<std::optional<bool>> {
              if (text == "refused") return true;
              if (text == "nxdomain") return false;
              return fail("{} '{}': must be nxdomain or refused", option, text);
            });
}

// The rules in the order of the words.
Result<void> take_policy_order(const CLI::App& app, PolicyOptions& policy) {
  std::size_t allows = 0;
  std::size_t denies = 0;
  bool refuses = false;
  for (const CLI::Option* option : app.parse_order()) {
    const std::string name = option->get_name();
    if (name == "--allow" || name == "--deny") {
      const bool allow = name == "--allow";
      const std::string& text = option->results().at(allow ? allows++ : denies++);
      auto rule = parse_rule_option(name, allow ? policy::Action::allow : policy::Action::deny, text);
      if (!rule) return tl::unexpected(rule.error());
      refuses = refuses || !allow;
      policy.items.push_back({PolicyItem::Kind::rule, *std::move(rule)});
    } else if (name == "--deny-all") {
      refuses = true;
      policy.items.push_back({PolicyItem::Kind::rule, policy::deny_all()});
    } else if (name == "--policy") {
      refuses = true;
      policy.items.push_back({PolicyItem::Kind::file, {}});
    }
  }
  if (policy.any() && !refuses) {
    return fail("--allow: refuses nothing by itself; add --deny-all after the last one");
  }
  if (!policy.any() && (policy.check_sni || policy.audit || policy.sealed || policy.refuse_with_refused)) {
    return fail(
        "--check-sni, --audit, --seal-policy and --dns-refusal: need a policy; add --allow, --deny, "
        "--deny-all or --policy");
  }
  const auto files = std::ranges::count(policy.items, PolicyItem::Kind::file, &PolicyItem::kind);
  if (files > 1)
    return fail("--policy '{}': is given {} times; put all rules into one file", policy.file, files);
  return {};
}

void add_message_options(CLI::App& app, Config& config) {
  add_value(app, "--log-level", "LEVEL", "error, warning, info or debug (info)", config.log_level,
            [](auto option, auto text) -> Result<LogLevel> {
              if (auto level = parse_log_level(text)) return *level;
              return fail("{} '{}': must be error, warning, info or debug", option, text);
            });
  add_value(app, "--log-format", "FORMAT", "text or json (text)", config.log_format,
            [](auto option, auto text) -> Result<LogFormat> {
              if (text == "text") return LogFormat::text;
              if (text == "json") return LogFormat::json;
              return fail("{} '{}': must be text or json", option, text);
            });
  add_value(app, "--pcap", "FILE", "Record all frames, both directions, as pcapng", config.pcap_file,
            any_text);
  app.add_option(
         "--flow-log",
         [&config](const CLI::results_t& values) {
           auto parsed = parse_flow_log(values.back(), config);
           if (!parsed) throw CLI::ValidationError(parsed.error().message);
           return true;
         },
         "Record every flow as a line of JSON, in a file or by an open descriptor")
      ->type_name("FILE|fd:N")
      ->expected(1)
      ->take_last();
}

void add_run_options(CLI::App& app, Config& config) {
  ExtraNamespaces& extra = config.namespaces;
  app.add_flag("--pid", extra.pid, "New PID namespace, with an init and a fresh /proc");
  app.add_flag("--ipc", extra.ipc, "New IPC namespace");
  app.add_flag("--uts", extra.uts, "New UTS namespace (host name)");
  app.add_flag("--cgroup", extra.cgroup, "New cgroup namespace");
  app.add_flag_callback(
      "--all",
      [&extra] {
        extra = {true, true, true, true};
      },
      "All four of them");
}

void add_confinement_options(CLI::App& app, Config& config) {
  app.add_flag_callback(
      "--no-sandbox",
      [&config] {
        if (config.confined)
          config.warnings.emplace_back(
              "--no-sandbox: this program keeps all rights of its user while it runs");
        config.confined = false;
      },
      "Keep all rights of the user, to debug this program");
}

void add_configure_options(CLI::App& app, Config& config) {
  app.add_flag("--configure", config.configure, "Set addresses and routes inside");
  add_value(app, "--ready-fd", "FD", "Write '1' to it once the network works", config.ready_fd,
            parse_descriptor);
  add_value(app, "--exit-fd", "FD", "End when its other end is closed", config.exit_fd, parse_descriptor);
}

void add_attach_options(CLI::App& app, Config& config) {
  add_value(app, "--userns-path", "PATH", "User namespace to join first (found from the target)",
            config.userns_path, any_text);
}

// Where the first word stands that is neither an option nor an option's value; `--` counts as such a word.
std::size_t first_word(const CLI::App& all, const std::vector<std::string>& words, std::size_t from) {
  std::size_t at = from;
  while (at < words.size()) {
    const std::string& word = words[at];
    if (word == "--" || word.size() < 2 || word[0] != '-') break;
    const CLI::Option* option = all.get_option_no_throw(word);
    const bool value_follows = option != nullptr && option->get_items_expected_max() > 0;
    at += value_follows ? 2 : 1;
  }
  return std::min(at, words.size());
}

// The words by role. All that follows CMD is CMD's own, so that CLI11 never sees it.
struct Split {
  std::vector<std::string> options;
  std::vector<std::string> guest_command;
  bool named = false;  // some command or PATH is there
};

Split split_words(const std::vector<std::string>& words, Config& config) {
  CLI::App all;
  Config unused;
  add_network_options(all, unused);
  add_way_in_options(all, unused);
  add_policy_options(all, unused);
  add_message_options(all, unused);
  add_confinement_options(all, unused);
  add_run_options(all, unused);
  add_configure_options(all, unused);
  add_attach_options(all, unused);

  Split split;
  const std::size_t command_at = first_word(all, words, 0);
  const auto begin = words.begin();
  config.command = Command::path;
  split.named = command_at < words.size();
  if (split.named && words[command_at] == "attach") config.command = Command::attach;
  if (split.named && words[command_at] == "run") config.command = Command::run;
  if (config.command == Command::path) {
    split.options = words;
    return split;
  }
  std::size_t end = words.size();
  if (config.command == Command::run) {
    end = first_word(all, words, command_at + 1);
    const std::size_t guest_at = end < words.size() && words[end] == "--" ? end + 1 : end;
    split.guest_command.assign(begin + static_cast<std::ptrdiff_t>(guest_at), words.end());
  }
  split.options.assign(begin, begin + static_cast<std::ptrdiff_t>(command_at));
  split.options.insert(split.options.end(), begin + static_cast<std::ptrdiff_t>(command_at) + 1,
                       begin + static_cast<std::ptrdiff_t>(end));
  return split;
}

void add_all(CLI::App& app, Config& config) {
  const bool run = config.command == Command::run;
  app.set_help_flag("-h,--help", "Show this text");
  // CLI11 groups by what was current when an option was added.
  app.option_defaults()->group(run ? "Namespaces beside user, mount and network" : "Namespace");
  if (run) {
    add_run_options(app, config);
  } else {
    add_configure_options(app, config);
    if (config.command == Command::attach) add_attach_options(app, config);
  }
  app.option_defaults()->group("Network");
  add_network_options(app, config);
  app.option_defaults()->group("Ports and control");
  add_way_in_options(app, config);
  app.option_defaults()->group("Egress policy");
  add_policy_options(app, config);
  app.option_defaults()->group("Messages");
  add_message_options(app, config);
  app.option_defaults()->group("Confinement");
  add_confinement_options(app, config);
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& words, const Environment& environment) {
  Config config;
  Split split = split_words(words, config);
  CLI::App app;
  add_all(app, config);
  bool version = false;
  app.add_flag("--version", version, "Show the version")->group("Messages");
  app.allow_extras();
  app.failure_message(CLI::FailureMessage::simple);
  try {
    std::reverse(split.options.begin(), split.options.end());  // CLI11 takes them from the back
    app.parse(split.options);
  } catch (const CLI::CallForHelp&) {
    return ShowText{help_text(split.named ? std::optional(config.command) : std::nullopt, option_lines(app))};
  } catch (const CLI::ParseError& error) {
    return fail("{}", error.what());
  }
  if (version) return ShowText{version_text()};
  if (auto taken = take_policy_order(app, config.policy); !taken) return tl::unexpected(taken.error());

  std::vector<std::string> left = app.remaining();
  const auto mark = std::find(left.begin(), left.end(), "--");
  for (auto word = left.begin(); word != mark; ++word) {
    if (word->size() > 1 && (*word)[0] == '-') {
      return fail("'{}': is not an option here; see slirp-forwarder --help", *word);
    }
  }
  if (mark != left.end()) left.erase(mark);
  if (!split.named) return fail("what to do is missing: run, attach or a PATH; see slirp-forwarder --help");
  if (config.command == Command::run) {
    config.configure = true;
    config.guest_command = std::move(split.guest_command);
    if (config.guest_command.empty()) {
      config.guest_command = {environment.shell.empty() ? std::string("/bin/sh") : environment.shell};
    } else if (config.guest_command[0].empty()) {
      return fail("CMD is empty; name a program, or leave it out for $SHELL");
    }
  } else {
    config.configure = config.configure || environment.configure_network;
    if (auto taken = take_target(config, left); !taken) return tl::unexpected(taken.error());
  }
  if (auto checked = check_together(config); !checked) return tl::unexpected(checked.error());
  return config;
}

}  // namespace sf::cli
