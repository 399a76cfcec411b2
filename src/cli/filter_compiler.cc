// libpcap is loaded when there is something to compile: Debian's brings nine more libraries with it, which
// would take every start of the program milliseconds.
#include "cli/filter_compiler.hh"

#include <dlfcn.h>
#include <fmt/format.h>
#include <pcap/pcap.h>

#include <memory>
#include <span>

#include "cli/printable.hh"
#include "wire/packet_filter.hh"
#include "wire/pcapng.hh"

namespace sf::cli {
namespace {

// Never unloaded: the process ends soon.
class Libpcap {
 public:
  [[nodiscard]] static Result<Libpcap> load() {
    Libpcap lib;
    for (const char* name : {"libpcap.so.0.8", "libpcap.so.1"}) {
      if (lib.library_ == nullptr) lib.library_ = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (lib.library_ == nullptr || !lib.find(lib.open_dead, "pcap_open_dead") ||
        !lib.find(lib.close, "pcap_close") || !lib.find(lib.compile, "pcap_compile") ||
        !lib.find(lib.free_code, "pcap_freecode") || !lib.find(lib.last_error, "pcap_geterr")) {
      const char* why = ::dlerror();
      return fail(
          "cannot compile the filter: libpcap: {}; install it (Debian: libpcap0.8), or give no filter",
          why != nullptr ? why : "not complete");
    }
    return lib;
  }

  decltype(&::pcap_open_dead) open_dead = nullptr;
  decltype(&::pcap_close) close = nullptr;
  decltype(&::pcap_compile) compile = nullptr;
  decltype(&::pcap_freecode) free_code = nullptr;
  decltype(&::pcap_geterr) last_error = nullptr;

 private:
  template <typename Function>
  bool find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    return function != nullptr;
  }

  void* library_ = nullptr;
};

}  // namespace

Result<std::string> compile_filter(const std::string& filter) {
  const auto lib = Libpcap::load();
  if (!lib) return tl::unexpected(lib.error());
  const std::unique_ptr<pcap_t, decltype(&::pcap_close)> handle(
      lib->open_dead(DLT_EN10MB, int{wire::pcapng::kMaxSnapLength}), lib->close);
  if (!handle) return fail("cannot compile the filter: libpcap is out of memory; try again");
  bpf_program program{};
  if (lib->compile(handle.get(), &program, filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    return fail("filter '{}': {}; pcap-filter(7) has the syntax", printable(filter),
                printable(lib->last_error(handle.get())));
  }
  std::string text = fmt::format("{}\n", program.bf_len);
  for (const bpf_insn& one : std::span(program.bf_insns, program.bf_len)) {
    text += fmt::format("{} {} {} {}\n", one.code, one.jt, one.jf, one.k);
  }
  lib->free_code(&program);
  // What the instance would say.
  if (const auto known = wire::PacketFilter::parse(text); !known) {
    return fail("filter '{}': {}", printable(filter), known.error().message);
  }
  return text;
}

}  // namespace sf::cli
