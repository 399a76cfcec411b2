// The terminal that this process was started from, for a screen of its own: entered, written to, left as it
// was.
//
// Nothing here waits for the terminal but wait(): one that is stopped, or whose line is slow, keeps what is
// written in a buffer. From open() on, signals that end or stop a program are events of wait(), so that none
// of them leaves the terminal as it is.
#pragma once

#include <termios.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

class Terminal {
 public:
  struct Size {
    unsigned rows = 24;
    unsigned columns = 80;
    bool operator==(const Size&) const = default;
  };
  struct Event {
    std::string keys;      // as they came
    bool due = false;      // the interval has passed
    bool redraw = false;   // the size may be another one, or the screen was somebody else's meanwhile
    int ended_by = 0;      // a signal; 0: none
    bool hung_up = false;  // the terminal is gone
  };

  // Standard input and output have to be terminals.
  [[nodiscard]] static bool is_there();
  [[nodiscard]] static Result<std::unique_ptr<Terminal>> open();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();  // leaves

  // A screen of its own, keys one by one and not shown. wait() is due once per `interval` from then on. In
  // the background it waits until it is in the foreground; what is written until then is nobody's.
  void enter(Duration interval);
  void leave();

  [[nodiscard]] Size size() const;
  void write(std::string_view text) {
    if (background_) return;
    output_ += text;
    flush();
  }
  // What was written before has not gone out yet: it is no use to write more.
  [[nodiscard]] bool is_behind() const { return background_ || !output_.empty(); }
  [[nodiscard]] Event wait();

 private:
  Terminal(UniqueFd tty, UniqueFd signals, UniqueFd timer);

  struct Seen {
    bool stop = false;
    bool continued = false;
  };

  void flush();
  void take_screen();
  void give_screen_back();
  void read_signals(Event& event);
  [[nodiscard]] Seen take_signals(Event& event);
  void stop_until_continued();

  UniqueFd tty_;  // an open file of its own: that it never waits is nobody else's business
  UniqueFd signals_;
  UniqueFd timer_;
  termios before_{};
  bool entered_ = false;
  bool background_ = false;
  std::string output_;
};

}  // namespace sf::setup
