// Clips: a video file, or pictures. Each has size [height, width], fps, frames, `picture(n)` and `from(n)`, all pictures from there on.

import * as media from "./vendor/mediabunny.min.mjs";

const MOST_SIDE = 4096;

/** Files that were chosen -> a clip. An Error in plain words if they can't be read. */
export async function openClip(files) {
  const list = [...files];
  if (list.every((file) => file.type.startsWith("image/") && file.type !== "image/gif")) return Pictures.open(list);
  if (list.length > 1) throw new Error("Choose one video, or several pictures of one size.");
  return Video.open(list[0]);
}

class Video {
  static async open(file) {
    if (!("VideoDecoder" in self)) throw new Error("This browser can't take videos apart. Choose the video's pictures instead, or another browser.");
    const input = new media.Input({ formats: media.ALL_FORMATS, source: new media.BlobSource(file) });
    let track = null;
    try {
      track = await input.getPrimaryVideoTrack();
    } catch {
      throw new Error(`${file.name} is no video that can be read here. MP4, MOV, WebM, MKV, TS and AVI can, where the browser has the codec.`);
    }
    if (!track) throw new Error(`${file.name} holds no video.`);
    if (!(await track.canDecode())) {
      throw new Error(`This browser can't decode ${file.name} (${(await track.getCodec()) ?? "an unknown codec"}). Save it as H.264 in MP4, or choose its pictures.`);
    }
    const clip = new Video();
    clip.name = file.name;
    clip.times = [];
    for await (const packet of new media.EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly: true })) clip.times.push(packet.timestamp);
    clip.times.sort((a, b) => a - b);
    if (!clip.times.length) throw new Error(`${file.name} holds no frame.`);
    clip.frames = clip.times.length;
    clip.fps = clip.frames > 1 ? (clip.frames - 1) / (clip.times.at(-1) - clip.times[0]) : 25;
    clip.sink = new media.VideoSampleSink(track);
    const first = await clip.picture(0);
    clip.size = checked([first.height, first.width]);
    return clip;
  }

  /** The n-th frame as ImageData, in presentation order. */
  async picture(n) {
    const sample = await this.sink.getSample(this.times[n] + 1e-6);
    if (!sample) throw new Error(`Frame ${n} of ${this.name} can't be decoded.`);
    return pixelsOf(sample);
  }

  async *from(n) {
    for await (const sample of this.sink.samples(this.times[n])) yield pixelsOf(sample);
  }
}

class Pictures {
  static async open(files) {
    const clip = new Pictures();
    clip.files = files.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    Object.assign(clip, { name: `${files.length} pictures`, frames: files.length, fps: 25 });
    const first = await clip.picture(0);
    clip.size = checked([first.height, first.width]);
    return clip;
  }

  async picture(n) {
    const found = await pictureOf(this.files[n]);
    if (this.size && (found.height !== this.size[0] || found.width !== this.size[1])) {
      throw new Error(`${this.files[n].name} is ${found.width} x ${found.height} pixels, the first picture ${this.size[1]} x ${this.size[0]}: all must have one size.`);
    }
    return found;
  }

  async *from(n) {
    for (; n < this.frames; n++) yield await this.picture(n);
  }
}

/** A picture file -> ImageData. */
export async function pictureOf(file) {
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name ?? "This file"} is no picture that this browser can read: save it as PNG or JPEG.`);
  }
  const context = canvas(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}

function pixelsOf(sample) {
  const context = canvas(sample.displayWidth, sample.displayHeight);
  sample.draw(context, 0, 0);
  sample.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}

let kept = null; // one canvas for all frames of a size
function canvas(width, height) {
  if (kept?.canvas.width !== width || kept?.canvas.height !== height) kept = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  return kept;
}

function checked(size) {
  if (Math.max(...size) > MOST_SIDE) throw new Error(`Frames of ${size[1]} x ${size[0]} pixels are too large for this page: ${MOST_SIDE} a side are the most.`);
  return size;
}
