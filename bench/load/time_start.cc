// From a program's start until it is ready: until it writes to descriptor 3 (--until=fd), until its first
// process ends because it goes on in the background (--until=exit), or until it prints something
// (--until=output). Whatever is still its child then is ended.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "common.hh"

namespace sf::load {

int time_start(const Options& options) {
  const std::string until = options.text("until", "fd");
  if (options.rest().empty()) give_up("time-start: no command");
  std::vector<char*> words;
  for (const std::string& word : options.rest()) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int ends[2];
  check(pipe(ends), "open a pipe");
  const std::int64_t begin = now();
  const pid_t child = fork();
  check(child, "fork");
  if (child == 0) {
    signal(SIGPIPE, SIG_DFL);  // pasta takes an ignored one for an error
    close(ends[0]);
    const int wanted = until == "output" ? STDOUT_FILENO : 3;
    if (until != "exit" && ends[1] != wanted) {
      check(dup2(ends[1], wanted), "pass the pipe on");
      close(ends[1]);
    }
    if (until == "exit") close(ends[1]);
    execvp(words[0], words.data());
    fail(std::string("start ") + words[0]);
  }
  close(ends[1]);
  int status = 0;
  char byte = 0;
  bool ready = false;
  if (until == "exit") {
    ready = waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  } else {
    ready = read(ends[0], &byte, 1) == 1;
  }
  const std::int64_t end = now();
  if (until != "exit") {
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
  }
  if (!ready) give_up(options.rest()[0] + " ended before it was ready");
  std::printf("{\"milliseconds\": %.3f}\n", static_cast<double>(end - begin) / 1e6);
  return 0;
}

}  // namespace sf::load
