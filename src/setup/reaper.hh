// Ends and collects whole process trees.
#pragma once

#include <sys/types.h>

namespace sf::setup {

// From here on, processes whose parent ends become children of this one (PR_SET_CHILD_SUBREAPER), so that
// end_descendants() finds them.
void adopt_orphans();

// SIGKILLs and collects all children of the calling process, and theirs, until none is left.
void end_descendants();

// 128 + N after signal N, as shells have it; the exit status else.
[[nodiscard]] int exit_status_of(int wait_status);

// waitpid(2) for one process, over interruptions. Its exit status; 1 where it has been collected already.
int wait_for(pid_t pid);

}  // namespace sf::setup
