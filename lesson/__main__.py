"""Start the lesson: `python -m lesson`. It is the viewer, with its settings, and says more below each trace."""

from lesson.ping import Ping
from lesson.steps import STEPS, Unseen
from viewer.__main__ import main
from viewer.advice import review

SAID_BY_STEPS = {"service-name", "kind", "missing-attribute", "status", "no-client", "missing-parent"}  # rules of it


class Teacher:
    """Looks at one trace after the other, and remembers which steps hold."""

    def __init__(self):
        self.ping, self.advice = None, ""  # the last one, and what a reviewer says of it
        self.holding, self.lost = set(), set()  # numbers of steps
        self.judged = {}  # number of a step -> when the newest ping began that has shown whether it holds
        self.words = {number: step.hint for number, step in enumerate(STEPS, 1)}

    def look(self, trace):
        """Take a trace as Store.trace gives it, and return how far the programs are (str)."""
        self.ping = Ping(trace, self.ping)
        for number, step in enumerate(STEPS, 1):
            if self.ping.start < self.judged.get(number, 0):  # the viewer has waited for the rest of it
                continue
            words = step.check(self.ping)
            self.words[number] = words or self.words[number]
            if isinstance(words, Unseen):
                continue
            self.judged[number] = self.ping.start
            if not words:
                self.holding.add(number)
                self.lost.discard(number)
            elif number in self.holding:
                self.holding.remove(number)
                self.lost.add(number)
        advice = [each.text for each in review(trace) if each.rule not in SAID_BY_STEPS]
        self.advice = advice[0] if advice else ""
        return self.say()

    def say(self):
        """Return how far the programs are, and what to do next (str)."""
        lines = [f"{len(self.holding)} of {len(STEPS)} steps hold"]
        if self.lost:
            lines[0] += f"; lost again: step {' and step '.join(map(str, sorted(self.lost)))}"
        for number, step in enumerate(STEPS, 1):
            if number not in self.holding:
                place = f"docs/build.md#{number}-{step.title.lower().replace(' ', '-')}"
                words = f"{self.words[number]} {self.advice}".strip()
                return "\n".join([*lines, f"Next: {number}. {step.title}", words, f"Read {place}"])
        if self.advice:
            return "\n".join([*lines, self.advice])
        lines += ["This is the post's trace now. Compare your programs with common.py, client.py and server.py."]
        return "\n".join([*lines, "Read docs/build.md#all-seven-hold"])


if __name__ == "__main__":
    teacher = Teacher()
    main(below=teacher.look, hint=teacher.say())
