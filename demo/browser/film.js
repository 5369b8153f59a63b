// The overlay as a video, encoded by the browser.

import * as media from "./vendor/mediabunny.min.mjs";

/** A video that is written frame by frame. Null from `open` where the browser encodes none. */
export class Film {
  static async open(width, height, fps) {
    if (!("VideoEncoder" in self)) return null;
    const film = new Film();
    const [w, h] = [width - (width % 2), height - (height % 2)].map((side) => Math.max(2, side));
    const quality = { width: w, height: h, bitrate: media.QUALITY_HIGH };
    const codec = await media.getFirstEncodableVideoCodec(["avc", "vp9", "vp8"], quality);
    if (!codec) return null;
    film.context = new OffscreenCanvas(w, h).getContext("2d");
    film.fps = fps;
    film.frames = 0;
    film.ending = codec === "avc" ? "mp4" : "webm";
    const format = codec === "avc" ? new media.Mp4OutputFormat({ fastStart: "in-memory" }) : new media.WebMOutputFormat();
    film.output = new media.Output({ format, target: new media.BufferTarget() });
    film.source = new media.CanvasSource(film.context.canvas, { codec, bitrate: media.QUALITY_HIGH, keyFrameInterval: 1 });
    film.output.addVideoTrack(film.source, { frameRate: fps });
    await film.output.start();
    return film;
  }

  /** What `draw(context)` draws is the next frame. */
  async add(draw) {
    draw(this.context);
    await this.source.add(this.frames++ / this.fps, 1 / this.fps);
  }

  /** The whole film as a Blob; null if it has no frame. */
  async finish() {
    if (!this.frames) { await this.output.cancel(); return null; }
    await this.output.finalize();
    return new Blob([this.output.target.buffer], { type: this.ending === "mp4" ? "video/mp4" : "video/webm" });
  }
}
