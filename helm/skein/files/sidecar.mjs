// Before an install or upgrade under Istio: is there a sidecar beside us? Without one nothing is encrypted or refused.
const deadline = Date.now() + Number(process.env.CHECK_SECONDS) * 1000;
const attemptMs = 3000;
const pauseMs = 1000;

const ask = async () => {
  const response = await fetch(process.env.SIDECAR_URL, { signal: AbortSignal.timeout(attemptMs) });
  if (!response.ok) throw new Error(`it answers ${response.status}`);
};

for (;;) {
  try {
    await ask();
    console.log("sidecar: Istio's sidecar in this pod is reached");
    break;
  } catch (error) {
    if (Date.now() > deadline) {
      console.error(
        `sidecar: Istio's sidecar in this pod is NOT reached (${error.cause?.code ?? error.message}). istio.enabled is true, but without sidecars nothing is encrypted or refused. Label the namespace istio-injection=enabled, or istio.io/rev=<revision>, and install again; where Istio is too old for sidecars as init containers set istio.nativeSidecars to false.`,
      );
      process.exitCode = 1;
      break;
    }
  }
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
