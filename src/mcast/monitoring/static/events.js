// What has happened, each event once and in order, although it is told by two ways: the news as they come, and
// what was kept before. A bootstrapper that was started again numbers its events from 1 on; it has another epoch.

const MOST = 2000;
const PER_EPOCH = 1e12; // more events than one bootstrapper numbers

export class Happened {
  #known = new Map(); // order -> event
  #epoch = null;
  #epochs = 0;

  list = []; // the oldest first; each has its `order`
  last = 0; // the number of the newest event of this epoch

  // The bootstrapper numbers in this epoch. Those of an earlier one stay, as older ones.
  begin(epoch) {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#epochs += 1;
    this.last = 0;
  }

  isOf(epoch) {
    return epoch === this.#epoch;
  }

  add(events) {
    for (const event of events) {
      const order = this.#epochs * PER_EPOCH + event.number;
      if (!this.#known.has(order)) this.#known.set(order, { ...event, order });
      this.last = Math.max(this.last, event.number);
    }
    this.list = [...this.#known.values()].sort((one, other) => one.order - other.order).slice(-MOST);
    this.#known = new Map(this.list.map((event) => [event.order, event]));
  }
}
