// A picture from the camera: seen live before it is taken, or by the device's own camera app where that is better.

/** Call `take(file)` with a picture, if one is taken. */
export async function shoot(dialog, input, take) {
  const cameras = navigator.mediaDevices; // not there unless over https, or on this very machine
  if (!cameras?.getUserMedia || matchMedia("(pointer: coarse)").matches) return input.click();
  const stream = await cameras.getUserMedia({ video: { facingMode: "environment" } }).catch(() => {
    throw new Error("There is no camera, or this page may not use it. Choose a picture instead.");
  });
  const video = dialog.querySelector("video"), button = dialog.querySelector("[value=take]");
  button.disabled = true; // until there is something to take
  video.srcObject = stream;
  dialog.returnValue = "";
  dialog.showModal();
  dialog.addEventListener("close", async () => {
    const file = dialog.returnValue === "take" ? await still(video) : null;
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    if (file) take(file);
  }, { once: true });
  await video.play().catch((error) => {
    if (video.srcObject === stream) throw error; // else it was closed before the first picture came, which is no fault
  });
  button.disabled = false;
}

/** What the camera sees now, as a file. */
function still(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
