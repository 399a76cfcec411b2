// A Link around another one that records what passes, both ways, as pcapng (IETF draft-ietf-opsawg-pcapng)
// for Wireshark.
//
// Directions are those of the guest's interface: what the guest sends is "outbound". Frames are recorded as
// they pass, super-frames of up to 64 KiB included, but with the checksums filled in that were left to
// offloads. Frames that the device did not take are not recorded. The queues of a device have a tee each,
// and one file: what they record is in the order of its time stamps.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.hh"
#include "base/result.hh"
#include "link/link.hh"

namespace sf::link {

class PcapTee final : public Link {
 public:
  // Time since 1970.
  using WallClock = std::function<std::chrono::nanoseconds()>;

  // Creates or truncates `path`, and writes the file's head. `inner` and `log` outlive the tee.
  // `interface_name` is the device's, as Wireshark shows it.
  [[nodiscard]] static Result<std::unique_ptr<PcapTee>> create(Link& inner, const std::string& path,
                                                               std::string_view interface_name, WallClock now,
                                                               const Log& log);
  // Another link that is recorded in the same file.
  [[nodiscard]] std::unique_ptr<PcapTee> also(Link& inner) const;
  // The last one writes what is left.
  ~PcapTee() override;

  [[nodiscard]] Status receive(MutBytes buffer, Frame& frame) override;
  [[nodiscard]] Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;
  [[nodiscard]] Features features() const override { return inner_.features(); }

  // Writes what has been gathered; for the end of each loop turn. A failure is logged once and ends the
  // recording, never the traffic.
  void flush();

 private:
  class Recorder;

  PcapTee(Link& inner, std::shared_ptr<Recorder> recorder);

  Link& inner_;
  std::shared_ptr<Recorder> recorder_;  // several threads' may share it
};

}  // namespace sf::link
