// Work that is asked for faster than it can be done: one run at a time, always for the newest state.

export class Latest {
  /** `task` is async; `fail` gets what it throws; `gap` milliseconds lie between two runs, at least. */
  constructor(task, fail, gap = 0) {
    this.task = task;
    this.fail = fail;
    this.gap = gap;
    this.wanted = 0;
    this.running = false;
    this.rest = Promise.resolve(); // resolved whenever nothing is left to do
  }

  /** Do it, or do it again as soon as the run that is under way has ended. */
  ask() {
    this.wanted++;
    if (!this.running) this.rest = this.run();
  }

  async run() {
    this.running = true;
    for (let done = 0; done !== this.wanted;) {
      done = this.wanted;
      try {
        await this.task();
      } catch (error) {
        this.fail(error);
      }
      await new Promise((resolve) => setTimeout(resolve, this.gap));
    }
    this.running = false;
  }
}
