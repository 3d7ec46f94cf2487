// Resuming a conversation that was cut off.
import { ask, tell } from "/static/sadari.js";

for (const button of document.querySelectorAll("[data-resume]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await ask(`/sadari/runs/${button.dataset.resume}/resume`, {});
      tell(button.dataset.told);
      setTimeout(() => location.reload(), 1500);
    } catch {
      button.disabled = false;
    }
  });
}
